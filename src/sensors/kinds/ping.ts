// Kind `ping`: round-trip time and loss, measured by the system's own `ping`, since raw ICMP takes rights that a hub
// does not need otherwise. The host is an argument of its own, checked by the settings: never part of a command line.
import { existsSync } from 'node:fs';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { ping as description, type PingSettings } from '../catalogue/ping.js';
import { SensorFault, unsupported } from '../fault.js';
import type { Measurement, SensorKind } from '../kind.js';
import { verdictOn } from '../network-verdict.js';
import { runProgram } from '../program.js';

const POSIX_PROGRAMS = ['/usr/bin/ping', '/bin/ping', '/usr/sbin/ping', '/sbin/ping'];
const WINDOWS_PROGRAMS = ['C:\\Windows\\System32\\PING.EXE'];

export interface PingResult {
  /** Percent. */
  readonly loss: number;
  /** Milliseconds: least, mean, most; undefined when nothing came back. */
  readonly rtt: readonly [number, number, number] | undefined;
}

/** Arguments for the platform's dialect. */
export function pingArguments({ host, count, family }: PingSettings, platform: NodeJS.Platform): string[] {
  const protocol = family === 'any' ? [] : [family === 'ipv4' ? '-4' : '-6'];
  if (platform === 'win32') return ['-n', `${count}`, '-w', '2000', ...protocol, host];
  // The Mac's has no choice of protocol (its ping6 is another program) and takes the wait in milliseconds.
  if (platform === 'darwin') return ['-n', '-q', '-c', `${count}`, '-W', '2000', '--', host];
  return ['-n', '-q', '-c', `${count}`, '-W', '2', ...protocol, '--', host];
}

/** From the summary. Windows translates its words, so there only numbers, signs and their order are relied on. */
export function parsePing(output: string): PingResult | undefined {
  const loss = /([\d.]+)% packet loss/.exec(output) ?? /\((\d+)%/.exec(output);
  if (!loss) return undefined;
  const posix = /= *([\d.]+)\/([\d.]+)\/([\d.]+)(?:\/[\d.]+)? *ms/.exec(output);
  if (posix) return { loss: Number(loss[1]), rtt: [Number(posix[1]), Number(posix[2]), Number(posix[3])] };
  const windows = /= *(\d+) ?ms[^=\n]*= *(\d+) ?ms[^=\n]*= *(\d+) ?ms\s*$/.exec(output);
  if (!windows) return { loss: Number(loss[1]), rtt: undefined };
  return { loss: Number(loss[1]), rtt: [Number(windows[1]), Number(windows[3]), Number(windows[2])] };
}

function toMeasurement({ loss, rtt }: PingResult): Measurement {
  const lost = { name: 'loss', unit: '%', value: loss };
  if (!rtt) return { values: [lost], state: State.CRITICAL, message: 'no answer' };
  const [min, avg, max] = rtt;
  const time = (name: string, value: number) => ({ name, unit: 'ms', value });
  return { values: [lost, time('rtt', avg), time('rtt-min', min), time('rtt-max', max)] };
}

/** The kind with a choice of programs, of which the first that exists is used. */
export function pingWith(programs: readonly string[] | undefined): SensorKind<PingSettings> {
  return {
    ...description,
    spawns: true,
    create: (settings, { clock, platform }) => ({
      async measure(signal) {
        const candidates = programs ?? (platform === 'win32' ? WINDOWS_PROGRAMS : POSIX_PROGRAMS);
        const file = candidates.find((candidate) => existsSync(candidate));
        if (file === undefined) throw unsupported('there is no ping program');
        if (platform === 'darwin' && settings.family === 'ipv6') throw unsupported('ping over IPv6');
        const args = pingArguments(settings, platform);
        try {
          const { stdout, stderr } = await runProgram({ file, args }, clock, signal);
          const result = parsePing(stdout);
          if (result) return toMeasurement(result);
          const said = (stderr.trim() || stdout.trim()).split('\n', 1)[0] ?? '';
          throw new SensorFault('sensor.unreadable', said || 'ping said nothing');
        } catch (thrown) {
          if (signal.aborted) return verdictOn(thrown, signal);
          throw thrown;
        }
      },
    }),
  };
}

export const ping = pingWith(undefined);
