// Kind `systemd`: the state of a unit, or of all of them, as `systemctl` tells it. systemctl(1), systemd.unit(5)
import { existsSync } from 'node:fs';
import { systemd as description, type SystemdSettings } from '../catalogue/systemd.js';
import { SensorFault, unsupported } from '../fault.js';
import type { Measurement, MetricValue, SensorKind } from '../kind.js';
import { critical } from '../network-verdict.js';
import { runProgram } from '../program.js';

const PROGRAMS = ['/usr/bin/systemctl', '/bin/systemctl'];
/** Where systemd is what runs the machine, this is there: sd_booted(3). */
const BOOTED = '/run/systemd/system';
const PROPERTIES = 'LoadState,ActiveState,SubState,Result,NRestarts,MemoryCurrent';
const SHOWN = 5;

/** KEY=VALUE lines. */
export function parseProperties(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\n').flatMap((line): [string, string][] => {
      const equals = line.indexOf('=');
      return equals < 0 ? [] : [[line.slice(0, equals), line.slice(equals + 1)]];
    }),
  );
}

const isUp = (state: string) => ['active', 'reloading', 'refreshing'].includes(state);

export function unitMeasurement(properties: ReadonlyMap<string, string>, expected: 'active' | 'inactive'): Measurement {
  const of = (name: string) => properties.get(name) ?? '';
  const [loaded, state] = [of('LoadState'), of('ActiveState')];
  if (loaded === 'not-found') throw new SensorFault('sensor.unreadable', 'there is no such unit');
  if (loaded !== 'loaded' && loaded !== 'masked') {
    throw new SensorFault('sensor.unreadable', `the unit cannot be loaded: ${loaded || 'systemctl says nothing'}`);
  }
  const number = (name: string, property: string, unit: string): MetricValue[] =>
    /^\d{1,18}$/.test(of(property)) ? [{ name, unit, value: Number(of(property)) }] : [];
  const values = [
    { name: 'active', unit: '', value: isUp(state) ? 1 : 0 },
    ...number('restarts', 'NRestarts', ''),
    ...number('memory', 'MemoryCurrent', 'By'),
  ];
  if (isUp(state) === (expected === 'active') && state !== 'failed') return { values };
  const why = loaded === 'masked' ? 'masked' : [of('SubState'), of('Result')].filter((word) => word !== 'success');
  return critical(`the unit is ${state} (${[why].flat().join(', ')})`, values);
}

/** From `systemctl list-units --state=failed`. */
export function failedMeasurement(text: string): Measurement {
  const failed = text.split('\n').flatMap((line) => line.trim().split(/\s+/)[0] || []);
  const values = [{ name: 'failed', unit: '', value: failed.length }];
  if (failed.length === 0) return { values };
  const more = failed.length > SHOWN ? ` and ${failed.length - SHOWN} more` : '';
  return critical(`failed: ${failed.slice(0, SHOWN).join(', ')}${more}`, values);
}

/** The kind, asking the manager of the system, or of a user by its runtime directory. */
export function systemdOf(runtimeDirectory?: string): SensorKind<SystemdSettings> {
  const [whose, environment] =
    runtimeDirectory === undefined ? ['--system', {}] : ['--user', { XDG_RUNTIME_DIR: runtimeDirectory }];
  return {
    ...description,
    spawns: true,
    create: ({ unit, expect }, { clock, platform }) => ({
      async measure(signal) {
        const file = platform === 'linux' ? PROGRAMS.find((candidate) => existsSync(candidate)) : undefined;
        if (file === undefined || !existsSync(runtimeDirectory ?? BOOTED)) throw unsupported('there is no systemd');
        const ask = async (...args: string[]) => {
          const { code, stdout, stderr } = await runProgram(
            { file, args: [whose, ...args], environment },
            clock,
            signal,
          );
          if (code === 0) return stdout;
          throw new SensorFault('sensor.unreadable', stderr.trim().split('\n', 1)[0] || 'systemctl failed');
        };
        if (unit === undefined) {
          return failedMeasurement(
            await ask('list-units', '--state=failed', '--full', '--plain', '--no-legend', '--no-pager'),
          );
        }
        return unitMeasurement(parseProperties(await ask('show', `--property=${PROPERTIES}`, '--', unit)), expect);
      },
    }),
  };
}

export const systemd = systemdOf();
