// What storing and asking cost each other: hubs deliver as fast as they can, alone and while a service asks one question
// after another: a page of the latest readings, and a range of one sensor in buckets. How long the answers take is measured
// without the hubs, too.
import type { Duration } from '../../../src/kernel/duration.js';
import { minutes, seconds } from '../../../src/kernel/duration.js';
import { Scope } from '../../../src/kernel/scope.js';
import type { HubLoad } from '../load.js';
import { verifyStored } from '../load.js';
import { type BenchContext, figuresOf, type Part, type Sample, sideBySide } from '../part.js';
import { percentile } from '../report.js';
import { type Plan, planSite, Site } from '../site.js';

interface Size {
  readonly hubs: number;
  readonly processes: number;
  /** Of each hub, each time. */
  readonly readings: number;
  /** How often is asked while nobody delivers. */
  readonly calls: number;
}

const FULL: Size = { hubs: 50, processes: 2, readings: 10_000, calls: 100 };
const SMOKE: Size = { hubs: 2, processes: 1, readings: 1_000, calls: 5 };
const SENSORS = 20;
const BATCH = 100;
/** The numbers of hubs' sensors are a second apart, and end when they are drawn. */
const RANGE: Duration = minutes(5);

export const mixed: Part = {
  name: 'mixed',
  about: 'storing and asking at the same time',
  run: async (context) => {
    const size = context.smoke ? SMOKE : FULL;
    const plan = await planSite(size.hubs, context);
    const samples: Sample[] = [];
    for (let run = 1; run <= context.runs; run++) {
      context.signal.throwIfAborted();
      context.progress(`run ${run} of ${context.runs}`);
      samples.push(...(await measure(plan, size, context)));
    }
    return sideBySide(figuresOf(samples));
  },
};

async function measure(plan: Plan, size: Size, context: BenchContext): Promise<Sample[]> {
  const { clock } = context;
  const site = await Site.start(plan, 'run', {}, context);
  try {
    await site.startConnector();
    const load = site.load(site.hubs, size.processes);
    await load.start(site.connectorAddress, BATCH);
    await load.connected();
    // Once to warm everything up, and to have something to ask for.
    await load.prepare(3 * size.readings, SENSORS);
    const ask = questions(site, clock.now() - ((3 * size.readings) / SENSORS) * seconds(1));
    await load.feed(size.readings, BATCH);
    for (let i = 0; i < size.calls / 10; i++) await ask();

    const quiet: number[] = [];
    for (let i = 0; i < size.calls; i++) quiet.push(await timed(ask, context));
    const alone = await delivered(load, size, context);
    const asking = new Scope();
    const busy: number[] = [];
    let failure: Error | undefined;
    asking.run(
      async (signal) => {
        while (!signal.aborted) busy.push(await timed(ask, context));
      },
      (error) => {
        failure = error;
      },
    );
    const asked = await delivered(load, size, context);
    await asking.stop();
    if (failure) throw failure;
    await verifyStored(site, await load.durable());
    return [
      { figure: 'readings per second', at: 'alone', unit: '/s', value: alone },
      { figure: 'readings per second', at: 'while asked', unit: '/s', value: asked },
      { figure: 'speed while asked', at: '', unit: '%', value: (asked / alone) * 100 },
      { figure: 'both questions p50', at: 'alone', unit: 'ms', value: percentile(quiet, 0.5) },
      { figure: 'both questions p50', at: 'while hubs deliver', unit: 'ms', value: percentile(busy, 0.5) },
      { figure: 'both questions p99', at: 'alone', unit: 'ms', value: percentile(quiet, 0.99) },
      { figure: 'both questions p99', at: 'while hubs deliver', unit: 'ms', value: percentile(busy, 0.99) },
    ];
  } finally {
    await site.remove();
  }
}

/** Per second, of all hubs together. */
async function delivered(load: HubLoad, { hubs, readings }: Size, { clock }: BenchContext): Promise<number> {
  const began = clock.monotonic();
  await load.feed(readings, BATCH);
  return (hubs * readings * 1_000) / (clock.monotonic() - began);
}

/** Resolves with how long it took. Throws when nothing was answered. */
async function timed(ask: () => Promise<number>, { clock }: BenchContext): Promise<number> {
  const began = clock.monotonic();
  if ((await ask()) === 0) throw new Error('the answer is empty');
  return clock.monotonic() - began;
}

/** Asks both and resolves with how much was answered; `fromMs`: when the first readings were taken. */
function questions(site: Site, fromMs: number): () => Promise<number> {
  const { readings } = site.client;
  const machineId = site.hubs[0]?.machineId ?? '';
  const range = { machineId, sensor: 1, fromMs, untilMs: fromMs + RANGE, bucketMs: seconds(10) };
  return async () => {
    const latest = await readings.getLatest({ pageSize: 1_000 });
    let buckets = 0;
    for await (const { content } of readings.aggregateReadings(range)) {
      if (content?.$case === 'metric') buckets += content.value.buckets.length;
    }
    return latest.readings.length * buckets;
  };
}
