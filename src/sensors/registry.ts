// All kinds of sensors, with the code that measures. Only hubs import this.

import type { SensorKind } from './kind.js';
import { certificate } from './kinds/certificate.js';
import { cpu } from './kinds/cpu.js';
import { disk } from './kinds/disk.js';
import { diskIo } from './kinds/disk-io.js';
import { dns } from './kinds/dns.js';
import { exec } from './kinds/exec.js';
import { file } from './kinds/file.js';
import { http } from './kinds/http.js';
import { load } from './kinds/load.js';
import { log } from './kinds/log.js';
import { memory } from './kinds/memory.js';
import { mysql } from './kinds/mysql.js';
import { network } from './kinds/network.js';
import { ping } from './kinds/ping.js';
import { postgresql } from './kinds/postgresql.js';
import { processKind } from './kinds/process.js';
import { redis } from './kinds/redis.js';
import { smtp } from './kinds/smtp.js';
import { snmp } from './kinds/snmp.js';
import { ssh } from './kinds/ssh.js';
import { systemd } from './kinds/systemd.js';
import { tcp } from './kinds/tcp.js';

const ALL: readonly SensorKind<unknown>[] = [
  cpu,
  memory,
  disk,
  network,
  load,
  processKind,
  tcp,
  http,
  certificate,
  ping,
  exec,
  dns,
  file,
  log,
  diskIo,
  systemd,
  postgresql,
  redis,
  mysql,
  smtp,
  snmp,
  ssh,
] as SensorKind<unknown>[];

export const KINDS: ReadonlyMap<string, SensorKind<unknown>> = new Map(ALL.map((kind) => [kind.name, kind]));
