// Kind `exec`: a monitoring plugin. Exit code 0 to 3 is the state, the first line the message, what follows a `|` are
// the values. https://www.monitoring-plugins.org/doc/guidelines.html
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { exec as description, type ExecSettings } from '../catalogue/exec.js';
import { SensorFault, unsupported } from '../fault.js';
import type { ExecPolicy, Measurement, Secrets, SensorKind } from '../kind.js';
import { parsePerfdata } from '../perfdata.js';
import { type Program, type ProgramResult, runProgram } from '../program.js';
import { trustedFile } from '../trusted-file.js';

/** Where packages of the monitoring plugins put them: what a machine allows unless its owner says otherwise. */
export const PLUGIN_DIRECTORIES: readonly string[] = [
  '/usr/lib/nagios/plugins',
  '/usr/lib64/nagios/plugins',
  '/usr/lib/monitoring-plugins',
  '/usr/local/libexec/nagios',
];

const STATES = [State.OK, State.WARNING, State.CRITICAL, State.UNKNOWN];

/** Text and performance data: both may go on after the first line, the data from the second `|` on. */
export function splitOutput(output: string): { text: string; perfdata: string } {
  const lines = output.split(/\r?\n/);
  const [text = '', ...first] = (lines.shift() ?? '').split('|');
  const more = lines.join('\n');
  const bar = more.indexOf('|');
  return { text: text.trim(), perfdata: `${first.join('|')} ${bar < 0 ? '' : more.slice(bar + 1)}` };
}

export function toMeasurement(result: ProgramResult): Measurement {
  if (result.overrun) throw new SensorFault('sensor.unreadable', 'the plugin wrote more than 64 KiB and was ended');
  const { text, perfdata } = splitOutput(result.stdout);
  const values = parsePerfdata(perfdata).map(({ label, unit, value }) => ({ name: label, unit, value }));
  const message = text || (result.stderr.trim().split('\n', 1)[0] ?? '');
  const state = result.code === undefined ? undefined : STATES[result.code];
  if (state !== undefined)
    return { values, state, message: message || (state === State.OK ? '' : 'the plugin says nothing') };
  const end = result.code === undefined ? 'a signal' : `exit code ${result.code}`;
  return { values, state: State.UNKNOWN, message: `the plugin ended with ${end}${message && `: ${message}`}` };
}

/** Whom to become, given who the hub is. */
function userFor(policy: ExecPolicy, ownUid: number) {
  if (ownUid !== 0) return {};
  if (!policy.runAs || policy.runAs.uid === 0) {
    throw new SensorFault('sensor.refused', 'plugins are not run as root', {
      permanent: true,
      advice: 'Name an unprivileged user for plugins in the configuration of this hub, or run the hub as one.',
    });
  }
  return { user: { uid: policy.runAs.uid, gid: policy.runAs.gid } };
}

/** The secret on the way that the settings say; never in an argument, which everybody on the machine can read. */
async function handedOver(
  { secret, variable }: ExecSettings,
  secrets: Secrets,
): Promise<Pick<Program, 'environment' | 'input'>> {
  if (secret === 'none') return {};
  const plaintext = await secrets.get('secret');
  if (!plaintext)
    throw new SensorFault('sensor.secret', 'no secret has been entered for this target', { permanent: true });
  // Most programs wait for the end of the line.
  if (variable === undefined) return { input: Buffer.concat([plaintext, Buffer.from('\n')]) };
  if (!plaintext.includes(0)) return { environment: { [variable]: plaintext.toString('utf8') } };
  throw new SensorFault('sensor.secret', 'a secret with zero bytes fits in no environment', { permanent: true });
}

export const exec: SensorKind<ExecSettings> = {
  ...description,
  spawns: true,
  create: (settings, { clock, platform, exec: policy }) => ({
    async measure(signal, secrets) {
      const ownUid = process.geteuid?.();
      if (platform === 'win32' || ownUid === undefined) {
        throw unsupported('plugins, because who may write to them cannot be checked');
      }
      const user = userFor(policy, ownUid);
      const file = await trustedFile(settings.program, policy.directories, ownUid);
      const handed = await handedOver(settings, secrets);
      try {
        return toMeasurement(await runProgram({ file, args: settings.args, ...user, ...handed }, clock, signal));
      } finally {
        handed.input?.fill(0);
      }
    },
  }),
};
