// What a hub costs the machine that it watches: the program itself as a process, with 20 sensors that measure once a
// minute, behind a real connector and a real cloud. The sensors are of the kinds that need nothing from outside; what
// `tcp` and `http` ask stands in this process.
//
// Every run is a fresh start. The window is as long as the interval of the sensors: each measures once in it.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sleep } from '../../../src/kernel/clock.js';
import { type Duration, type EpochMs, milliseconds, seconds } from '../../../src/kernel/duration.js';
import { type BenchContext, figuresOf, type Part, type Sample } from '../part.js';
import { bytesWritten, cpuSeconds, memoryOf } from '../processes.js';
import { planSite, Site } from '../site.js';

interface Size {
  /** From the first reading on. */
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
    const plan = await planSite(1, context);
    const asked = await listening();
    context.scope.defer(() => closed(asked));
    const samples: Sample[] = [];
    for (let run = 1; run <= context.runs; run++) {
      context.signal.throwIfAborted();
      context.progress(`run ${run} of ${context.runs}`);
      const site = await Site.start(plan, 'run', {}, context);
      try {
        await site.startConnector();
        await addSensors(site, (asked.address() as AddressInfo).port);
        samples.push(...(await measure(site, size, context)));
      } finally {
        await site.remove();
      }
    }
    return figuresOf(samples);
  },
};

async function measure(site: Site, { warmUp, window }: Size, { clock, signal }: BenchContext): Promise<Sample[]> {
  const [hub] = site.hubs;
  if (!hub) throw new Error('the site has no hub');
  const seen = firstReading(site, hub.machineId, () => clock.now());
  const started = clock.now();
  const role = site.startHub(hub);
  const first = await seen;
  await sleep(clock, warmUp, signal);
  const { pid = 0 } = role;
  const before = { at: clock.monotonic(), cpu: cpuSeconds(pid), written: bytesWritten(pid) };
  await sleep(clock, window, signal);
  const took = (clock.monotonic() - before.at) / 1_000;
  const [cpu, written] = [cpuSeconds(pid) - before.cpu, bytesWritten(pid) - before.written];
  const { resident, peak } = memoryOf(pid);
  return [
    { figure: 'memory of a hub', at: 'resident', unit: 'MB', value: resident / 1e6 },
    { figure: 'most memory of a hub', at: 'resident', unit: 'MB', value: peak / 1e6 },
    { figure: 'CPU of a hub', at: '20 sensors', unit: '% of a core', value: (cpu / took) * 100 },
    { figure: 'written to the disk', at: '20 sensors', unit: 'KiB per minute', value: (written / 1_024 / took) * 60 },
    { figure: 'first reading stored after a start', at: '', unit: 'ms', value: first - started },
  ];
}

/** When the cloud has stored a first reading of a hub. */
async function firstReading(site: Site, machineId: string, now: () => EpochMs): Promise<EpochMs> {
  for await (const { readings } of site.client.readings.watchReadings({ machineId })) if (readings.length > 0) break;
  return now();
}

async function addSensors(site: Site, port: number): Promise<void> {
  const machineId = site.hubs[0]?.machineId ?? '';
  const add = (kind: string, settings: Record<string, unknown>) =>
    site.client.sensors.createSensor({ machineId, kind, settings, intervalMs: EVERY });
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
