// How fast a site's backlog gets to the cloud after an outage, and what those notice meanwhile who have none. The
// backlog lies in the logs of hubs; the time begins when the first of them has a session again, and ends when the cloud
// has acknowledged everything. Other hubs measure once a second all the time, before the drain (idle) and during it.
import { sleep } from '../../../src/kernel/clock.js';
import { milliseconds, seconds } from '../../../src/kernel/duration.js';
import { LatencyWatch } from '../latency.js';
import { type Counts, HubLoad, verifyStored } from '../load.js';
import { type BenchContext, figuresOf, type Part, type Sample, sideBySide } from '../part.js';
import { percentile } from '../report.js';
import { hubProgram, type Plan, planSite, Site } from '../site.js';

interface Size {
  readonly hubs: number;
  readonly processes: number;
  readonly liveHubs: number;
  /** Between two flushes of a live hub, milliseconds. */
  readonly liveEvery: number;
  readonly sensors: number;
  /** Of each hub with a backlog. */
  readonly readings: number;
  readonly idleSeconds: number;
}

const FULL: Size = {
  hubs: 100,
  processes: 4,
  liveHubs: 20,
  liveEvery: 1_000,
  sensors: 20,
  readings: 10_000,
  idleSeconds: 10,
};
const SMOKE: Size = { hubs: 4, processes: 1, liveHubs: 2, liveEvery: 20, sensors: 20, readings: 5_000, idleSeconds: 1 };
/** Readings in a flush of the backlog. */
const FLUSH = 100;
/** What the first readings of the live hubs take is not counted. */
const SETTLING = seconds(3);
const ROUND_TRIPS_MS = [0, 100];

export const drain: Part = {
  name: 'drain',
  about: 'a backlog in the logs of the hubs, with other hubs live meanwhile',
  run: async (context) => {
    const size = context.smoke ? SMOKE : FULL;
    const plan = await planSite(size.hubs + size.liveHubs, context);
    const backlog = await fill(plan, size, context);
    const samples: Sample[] = [];
    for (let run = 1; run <= context.runs; run++) {
      for (const roundTrip of ROUND_TRIPS_MS) {
        context.signal.throwIfAborted();
        const at = `RTT ${roundTrip} ms`;
        context.progress(`${at}, run ${run} of ${context.runs}`);
        for (const sample of await measure(plan, backlog, roundTrip, size, context)) samples.push({ ...sample, at });
      }
    }
    return sideBySide(figuresOf(samples));
  },
};

/** Puts the backlog into the logs of the plan's first hubs, once for all runs. */
async function fill(plan: Plan, size: Size, context: BenchContext): Promise<Counts> {
  const { hubs, processes, readings, sensors } = size;
  context.progress(`filling the logs of ${hubs} hubs`);
  const programs = Array.from({ length: processes }, (_, i) =>
    context.scope.own(hubProgram(`${context.directory}/fill-${i}.log`, context)),
  );
  const load = new HubLoad(plan.hubs.slice(0, hubs), programs);
  await load.start();
  await load.prepare(readings, sensors);
  await load.fill(readings, FLUSH);
  const durable = await load.durable();
  await load.stop();
  return durable;
}

async function measure(
  plan: Plan,
  backlog: Counts,
  roundTrip: number,
  size: Size,
  context: BenchContext,
): Promise<Omit<Sample, 'at'>[]> {
  const { clock, signal } = context;
  const site = await Site.start(plan, 'run', { delay: milliseconds(roundTrip / 2) }, context);
  try {
    await site.startConnector();
    const others = site.hubs.slice(size.hubs);
    const live = site.load(others, 1);
    await live.start(site.connectorAddress);
    await live.connected();
    const ids = others.map(({ machineId }) => machineId);
    const watch = context.scope.own(new LatencyWatch(site.client, ids, clock));
    await live.live(size.sensors, size.liveEvery);
    await sleep(clock, SETTLING, signal);
    const idleFrom = clock.now();
    await sleep(clock, seconds(size.idleSeconds), signal);
    const idleUntil = clock.now();

    const load = site.load(site.hubs.slice(0, size.hubs), size.processes);
    const [from, until] = await drained(load, site.connectorAddress);

    await live.quiet();
    await live.delivered();
    const stored = await verifyStored(site, { ...backlog, ...(await live.durable()) });
    const count = size.hubs * size.readings;
    if (stored <= count)
      throw new Error(`${stored} readings are stored, which is less than the backlog and the live ones`);
    const [idle, busy] = [watch.between(idleFrom, idleUntil), watch.between(from, until)];
    await watch.stop();
    return [
      { figure: 'time to empty', unit: 's', value: (until - from) / 1_000 },
      { figure: 'readings per second', unit: '/s', value: (count * 1_000) / (until - from) },
      { figure: 'live p50, idle', unit: 'ms', value: percentile(idle, 0.5) },
      { figure: 'live p50, draining', unit: 'ms', value: percentile(busy, 0.5) },
      { figure: 'live p99, idle', unit: 'ms', value: percentile(idle, 0.99) },
      { figure: 'live p99, draining', unit: 'ms', value: percentile(busy, 0.99) },
      { figure: 'live p99, draining to idle', unit: 'times', value: percentile(busy, 0.99) / percentile(idle, 0.99) },
    ];
  } finally {
    await site.remove();
  }
}

async function drained(load: HubLoad, connector: string) {
  await load.start(connector);
  return [await load.connected(), await load.delivered()] as const;
}
