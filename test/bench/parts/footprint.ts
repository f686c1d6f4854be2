// What a hub costs the machine that it watches: the program itself as a process, with 20 sensors that measure once a
// minute, behind a real connector and a real cloud. The sensors are of the kinds that need nothing from outside; what
// `tcp` and `http` ask stands in this process.
//
// Each run is a hub of its own. They start one after another and are watched at the same time: one takes so little that
// it does not disturb the others. The window is as long as the interval of the sensors: each measures once in it.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MeshClient } from '../../../src/client/index.js';
import { type Clock, sleep } from '../../../src/kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../../../src/kernel/duration.js';
import { type BenchContext, figuresOf, type Part, type Sample } from '../part.js';
import { bytesWritten, cpuSeconds, memoryOf } from '../processes.js';
import type { ProvisionedHub } from '../provision.js';
import { planSite, Site } from '../site.js';

interface Size {
  /** From the first reading of the last hub on. */
  readonly warmUp: Duration;
  readonly window: Duration;
}

const FULL: Size = { warmUp: seconds(10), window: seconds(60) };
const SMOKE: Size = { warmUp: milliseconds(500), window: seconds(2) };
const EVERY = seconds(60);
/** How many of each kind: 20 in all. */
const EACH = 5;

export const footprint: Part = {
  name: 'footprint',
  about: 'one hub with 20 sensors that measure once a minute',
  run: async (context) => {
    const size = context.smoke ? SMOKE : FULL;
    const { clock, runs, scope, signal, progress } = context;
    const site = await Site.start(await planSite(runs, context), 'run', {}, context);
    scope.defer(() => site.remove());
    await site.startConnector();
    const asked = await listening();
    scope.defer(() => closed(asked));
    const samples: Sample[] = [];
    const pids: number[] = [];
    for (const [i, hub] of site.hubs.entries()) {
      signal.throwIfAborted();
      progress(`starting hub ${i + 1} of ${runs}`);
      await addSensors(site.client, hub.machineId, (asked.address() as AddressInfo).port);
      const { pid, took } = await started(site, hub, clock);
      pids.push(pid);
      samples.push({ figure: 'first reading stored after a start', at: '', unit: 'ms', value: took });
    }
    await sleep(clock, size.warmUp, signal);
    progress('watching');
    return figuresOf([...(await watched(pids, size.window, context)), ...samples]);
  },
};

/** Resolves when the cloud has stored a first reading, with the process and how long that took, milliseconds. */
async function started(site: Site, hub: ProvisionedHub, clock: Clock) {
  const seen = firstReading(site.client, hub.machineId);
  const before = clock.monotonic();
  const { pid = 0 } = site.startHub(hub);
  await seen;
  return { pid, took: clock.monotonic() - before };
}

async function watched(pids: readonly number[], window: Duration, { clock, signal }: BenchContext): Promise<Sample[]> {
  const now = () => pids.map((pid) => ({ cpu: cpuSeconds(pid), written: bytesWritten(pid), ...memoryOf(pid) }));
  const [from, before] = [clock.monotonic(), now()];
  await sleep(clock, window, signal);
  const [minutes, after] = [(clock.monotonic() - from) / 60_000, now()];
  return after.flatMap(({ cpu, written, resident, peak }, i) => {
    const busy = cpu - (before[i]?.cpu ?? Number.NaN);
    const bytes = written - (before[i]?.written ?? Number.NaN);
    return [
      { figure: 'memory of a hub', at: 'resident', unit: 'MB', value: resident / 1e6 },
      { figure: 'most memory of a hub', at: 'resident', unit: 'MB', value: peak / 1e6 },
      { figure: 'CPU of a hub', at: '20 sensors', unit: '% of a core', value: (busy / (minutes * 60)) * 100 },
      { figure: 'written to the disk', at: '20 sensors', unit: 'KiB per minute', value: bytes / 1_024 / minutes },
    ];
  });
}

async function firstReading({ readings }: MeshClient, machineId: string): Promise<void> {
  for await (const stored of readings.watchReadings({ machineId })) if (stored.readings.length > 0) return;
}

async function addSensors({ sensors }: MeshClient, machineId: string, port: number): Promise<void> {
  const add = (kind: string, settings: Record<string, unknown>) =>
    sensors.createSensor({ machineId, kind, settings, intervalMs: EVERY });
  for (const kind of ['cpu', 'memory', 'disk', 'network', 'load']) await add(kind, {});
  for (let i = 0; i < EACH; i++) {
    await add('process', { name: 'node' });
    await add('tcp', { host: '127.0.0.1', port });
    await add('http', { url: `http://127.0.0.1:${port}/${i}` });
  }
}

async function listening(): Promise<Server> {
  const server = createServer((_, response) => response.end('well'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
