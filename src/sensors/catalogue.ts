// Every kind of sensor in words and numbers: name, summary, settings, defaults. Pure data, without the code that
// measures, so that the cloud and the command line can check and complete configurations of machines they never see.
import type { z } from 'zod';
import type { Threshold } from '../../gen/occmesh/link/v1/link.js';
import { defined } from '../kernel/defined.js';
import { type Duration, hours, minutes, seconds } from '../kernel/duration.js';
import type { SensorDescription } from './kind.js';
import * as settings from './settings.js';

function describe<Z extends z.ZodType>(
  name: string,
  summary: string,
  schema: Z,
  metrics: readonly string[] | undefined,
  [interval, timeout]: [Duration, Duration],
  ...thresholds: [metric: string, warning: string, critical: string][]
): SensorDescription<z.infer<Z>> {
  const complete = thresholds.map(([metric, warning, critical]): Threshold => ({ metric, warning, critical }));
  return {
    name,
    summary,
    settings: schema as z.ZodType<z.infer<Z>>,
    ...defined({ metrics }),
    defaults: { interval, timeout, thresholds: complete },
  };
}

export const CATALOGUE = {
  cpu: describe(
    'cpu',
    'Share of time that the processors are busy',
    settings.cpuSettings,
    ['usage', 'iowait', 'steal'],
    [seconds(60), seconds(10)],
    ['usage', '90', '98'],
  ),
  memory: describe(
    'memory',
    'Memory and swap in use',
    settings.memorySettings,
    ['usage', 'available', 'swap'],
    [seconds(60), seconds(10)],
    ['usage', '90', '95'],
  ),
  disk: describe(
    'disk',
    'Space and inodes in use on file systems',
    settings.diskSettings,
    ['*/used', '*/free', '*/inodes'],
    [minutes(5), seconds(30)],
    ['*/used', '90', '95'],
  ),
  network: describe(
    'network',
    'Traffic and errors of network interfaces',
    settings.networkSettings,
    ['*/in', '*/out', '*/errors'],
    [seconds(60), seconds(10)],
  ),
  load: describe(
    'load',
    'Load averages and time since the machine started',
    settings.loadSettings,
    ['load1', 'load5', 'load15', 'load5-per-core', 'uptime'],
    [seconds(60), seconds(5)],
  ),
  process: describe(
    'process',
    'Number, processor time and memory of the processes of a program',
    settings.processSettings,
    ['count', 'cpu', 'memory'],
    [seconds(60), seconds(20)],
    ['count', '', '1:'],
  ),
  tcp: describe(
    'tcp',
    'Whether a TCP port answers, and how fast',
    settings.tcpSettings,
    ['connect', 'answer'],
    [seconds(60), seconds(10)],
  ),
  http: describe(
    'http',
    'Whether a web address answers as it should, and how fast',
    settings.httpSettings,
    ['connect', 'tls', 'first-byte', 'total', 'status', 'size'],
    [seconds(60), seconds(20)],
  ),
  certificate: describe(
    'certificate',
    "Validity and days left of a TLS server's certificate",
    settings.certificateSettings,
    ['days-left'],
    [hours(1), seconds(20)],
    ['days-left', '30:', '7:'],
  ),
  ping: describe(
    'ping',
    'Round-trip time and loss of ICMP packets',
    settings.pingSettings,
    ['loss', 'rtt', 'rtt-min', 'rtt-max'],
    [seconds(60), seconds(20)],
    ['loss', '20', '60'],
  ),
  exec: describe('exec', 'A monitoring plugin (Nagios, Icinga, Naemon)', settings.execSettings, undefined, [
    minutes(5),
    seconds(30),
  ]),
} as const;

export type KindName = keyof typeof CATALOGUE;

/** The description of a kind by its name; undefined for one that does not exist. */
export function describeKind(name: string): SensorDescription<unknown> | undefined {
  return Object.hasOwn(CATALOGUE, name) ? CATALOGUE[name as KindName] : undefined;
}
