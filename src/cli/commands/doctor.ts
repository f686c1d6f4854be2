// `occ doctor`: looks at what a hub or connector needs, and says what to do where it is missing.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { seconds } from '../../kernel/duration.js';
import { addRoleFlags, roleValues } from '../config/role-config.js';
import { CONNECTOR_SETTINGS, HUB_SETTINGS, MEMBER_PLACES } from '../config/role-settings.js';
import { flagReader } from '../config/settings.js';
import { nameChecks, serviceChecks, wayChecks } from '../doctor/cloud-checks.js';
import { type Finding, inTime, type Verdict } from '../doctor/finding.js';
import { certificateChecks, diskChecks, keyFileChecks } from '../doctor/machine-checks.js';
import { connectorChecks, multicastChecks } from '../doctor/network-checks.js';
import { admit, type Patient } from '../doctor/patient.js';
import { CliFault } from '../fault.js';
import { coloured, type Paint, plain, type Tone } from '../output/colour.js';
import { oneLine } from '../output/text.js';
import { defaultDataDirectory } from '../places.js';
import { proxyFor } from '../proxy.js';
import { type Terminal, wantsColour } from '../terminal.js';
import { address, oneOf } from '../values.js';

const WITHIN = seconds(10);
/** A service's file may say more than the doctor asks for. */
const SETTINGS = { ...CONNECTOR_SETTINGS, ...HUB_SETTINGS };

interface Options {
  readonly role?: 'hub' | 'connector';
  readonly cloud?: string;
  readonly json?: boolean;
}

export function addDoctor(program: Command, terminal: Terminal): void {
  const command = program
    .command('doctor')
    .description(
      'Look at what a hub or connector needs (names, ports, proxy, clock, certificate, disk), before or after it enrols',
    )
    .option(
      '--role <role>',
      'hub or connector (default: what the data directory holds, else hub)',
      flagReader((text) => oneOf('hub', 'connector')(text, '')),
    )
    .option(
      '--cloud <host:port>',
      "instead of the membership's or the token's",
      flagReader((text) => address(text, '')),
    )
    .option('--json', 'print JSON instead of text');
  addRoleFlags(command, MEMBER_PLACES, terminal);
  command.action(async () => {
    const { role: wanted, cloud, json = false } = command.opts<Options>();
    const {
      data: named,
      tokenFile,
      connectors = [],
      interfaces,
      ssdpPort,
      proxy: configured,
    } = await roleValues(command, SETTINGS);
    const role = wanted ?? (await roleIn(named ?? defaultDataDirectory('connector', terminal)));
    const data = named ?? defaultDataDirectory(role, terminal);
    const { patient, findings } = await admit({ role, data, cloud, tokenFile, connectors }, terminal);
    const proxy = patient.cloud === undefined ? configured : proxyFor(patient.cloud, configured, terminal);
    const found = [...findings, ...(await examine(patient, proxy, { interfaces, ssdpPort }, terminal))];
    const softened = soften(found, patient);
    const worst = softened.some(({ verdict }) => verdict === 'failed');
    if (json)
      terminal.stdout.write(
        `${JSON.stringify({ role, data, cloud: patient.cloud, ok: !worst, checks: softened }, undefined, 2)}\n`,
      );
    else terminal.stdout.write(show(softened, wantsColour(terminal) ? coloured : plain));
    if (worst)
      throw new CliFault('cli.failed', 'not everything is as it must be', { advice: 'See what failed above.' });
  });
}

/** A connector keeps its membership in a folder of its own. */
async function roleIn(data: string): Promise<'hub' | 'connector'> {
  const found = await stat(join(data, 'connector')).catch(() => undefined);
  return found?.isDirectory() ? 'connector' : 'hub';
}

/** All checks side by side, in the order in which people read them. */
async function examine(
  patient: Patient,
  proxy: string | undefined,
  network: { readonly interfaces: readonly string[] | undefined; readonly ssdpPort: number | undefined },
  { clock, random, platform, interrupted }: Terminal,
): Promise<Finding[]> {
  const modules = { clock, random, platform, signal: interrupted };
  const checks: readonly (readonly [string, Parameters<typeof inTime>[3]])[] = [
    ['certificate', (m) => certificateChecks(patient, m)],
    ['disk', () => diskChecks(patient)],
    ['key files', (m) => keyFileChecks(patient, m)],
    ['name of the cloud', (m) => nameChecks(patient, m)],
    ['way to the cloud', (m) => wayChecks(patient, proxy, m)],
    ['version', (m) => serviceChecks(patient, proxy, m)],
    ['multicast', () => multicastChecks(network)],
    ['connector', (m) => connectorChecks(patient, network, m)],
  ];
  return (await Promise.all(checks.map(([name, run]) => inTime(name, WITHIN, modules, run)))).flat();
}

const CLOUD: readonly string[] = ['name of the cloud', 'way to the cloud', 'way through the proxy', 'version'];

/** A hub needs one way only: through a connector, or to the cloud itself. */
function soften(findings: readonly Finding[], { role }: Patient): Finding[] {
  const isGood = (names: readonly string[]) =>
    findings.some(({ check, verdict }) => names.includes(check) && verdict === 'ok');
  if (role === 'connector') return [...findings];
  const needless = isGood(['connector'])
    ? CLOUD
    : isGood(['way to the cloud', 'way through the proxy'])
      ? ['connector']
      : [];
  return findings.map((finding) =>
    finding.verdict === 'failed' && needless.includes(finding.check) ? { ...finding, verdict: 'warning' } : finding,
  );
}

const TONES: { readonly [V in Verdict]: Tone } = { ok: 'good', warning: 'warn', failed: 'bad', skipped: 'quiet' };

function show(findings: readonly Finding[], paint: Paint): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, verdict, seen, todo }) => [
    `${paint(TONES[verdict], verdict.padEnd(7))}  ${check.padEnd(width)}  ${oneLine(seen)}`,
    ...(todo === undefined ? [] : [`${' '.repeat(width + 11)}→ ${oneLine(todo)}`]),
  ]);
  return `${lines.join('\n')}\n`;
}
