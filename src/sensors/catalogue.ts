// Every kind of sensor in words and numbers: name, summary, settings, defaults. Pure data, without the code that
// measures, so that the cloud and the command line can check and complete configurations of machines they never see.
// Each kind is described in catalogue/KIND.ts, and measured in kinds/KIND.ts.
import { certificate } from './catalogue/certificate.js';
import { cpu } from './catalogue/cpu.js';
import { disk } from './catalogue/disk.js';
import { diskIo } from './catalogue/disk-io.js';
import { dns } from './catalogue/dns.js';
import { exec } from './catalogue/exec.js';
import { file } from './catalogue/file.js';
import { http } from './catalogue/http.js';
import { load } from './catalogue/load.js';
import { log } from './catalogue/log.js';
import { memory } from './catalogue/memory.js';
import { mysql } from './catalogue/mysql.js';
import { network } from './catalogue/network.js';
import { ping } from './catalogue/ping.js';
import { postgresql } from './catalogue/postgresql.js';
import { process } from './catalogue/process.js';
import { redis } from './catalogue/redis.js';
import { smtp } from './catalogue/smtp.js';
import { snmp } from './catalogue/snmp.js';
import { ssh } from './catalogue/ssh.js';
import { systemd } from './catalogue/systemd.js';
import { tcp } from './catalogue/tcp.js';
import type { SensorDescription } from './kind.js';

export const CATALOGUE = {
  cpu,
  memory,
  disk,
  network,
  load,
  process,
  tcp,
  http,
  certificate,
  ping,
  exec,
  dns,
  file,
  log,
  'disk-io': diskIo,
  systemd,
  postgresql,
  redis,
  mysql,
  smtp,
  snmp,
  ssh,
} as const;

export type KindName = keyof typeof CATALOGUE;

/** The description of a kind by its name; undefined for one that does not exist. */
export function describeKind(name: string): SensorDescription<unknown> | undefined {
  return Object.hasOwn(CATALOGUE, name) ? CATALOGUE[name as KindName] : undefined;
}
