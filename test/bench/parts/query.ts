// How long a service waits for what it asks, through the client of this package and real TLS: the latest readings of very
// many sensors, and a day of a sensor that measured once a second, as it is and in buckets of a minute. Each also while
// other hubs report.
//
// Everything got into the store as always: from a hub's log through a connector, in batches of 500. The day stands among
// those of 19 other sensors of its hub.
import { sleep } from '../../../src/kernel/clock.js';
import { type Duration, type EpochMs, epochMs, hours, minutes, seconds } from '../../../src/kernel/duration.js';
import type { HubLoad } from '../load.js';
import { verifyStored } from '../load.js';
import { type BenchContext, figuresOf, type Part, type Sample, sideBySide } from '../part.js';
import { cpuSeconds } from '../processes.js';
import { percentile } from '../report.js';
import { planSite, Site } from '../site.js';

interface Size {
  /** With their latest readings only. */
  readonly hubs: number;
  readonly sensorsEach: number;
  /** Of the sensors of the hub that is asked for a range. */
  readonly range: Duration;
  readonly settling: Duration;
  /** How often is asked, each. */
  readonly calls: number;
  /** The same for what takes long. */
  readonly fewCalls: number;
}

const FULL: Size = {
  hubs: 100,
  sensorsEach: 1_000,
  range: hours(24),
  settling: seconds(3),
  calls: 50,
  fewCalls: 10,
};
const SMOKE: Size = { hubs: 2, sensorsEach: 100, range: minutes(10), settling: seconds(0), calls: 3, fewCalls: 2 };
const SENSORS = 20;
const BATCH = 500;
/** Of what is measured once a second, timestamps are a little off. */
const JITTER_MS = 10;
/** Of so many calls that are counted, one comes before that is not: both ends have just started. */
const WARM_UP = 10;
/** How often is looked whether the cloud is idle, and the share of a core below which it is. */
const LOOK = seconds(1);
const IDLE = 0.05;
/** Between two flushes of each hub, one reading of each of its 20 sensors. */
const LIVE_EVERY = seconds(1);

export const query: Part = {
  name: 'query',
  about: 'latest readings of 100,000 sensors, and a day of one of them',
  run: async (context) => {
    const { scope, progress, runs, smoke, clock, signal } = context;
    const size = smoke ? SMOKE : FULL;
    const plan = await planSite(1 + size.hubs, context);
    const site = await Site.start(plan, 'run', {}, context);
    scope.defer(() => site.remove());
    await site.startConnector();
    const from = await loadRange(site, size, context);
    const others = await loadLatest(site, size, context);
    progress('waiting until the cloud has nothing more to do');
    await untilIdle(site, context);
    const samples: Sample[] = [];
    for (let run = 1; run <= runs; run++) {
      for (const load of ['alone', 'while hubs report']) {
        signal.throwIfAborted();
        progress(`${load}, run ${run} of ${runs}`);
        if (load !== 'alone') await others.live(SENSORS, LIVE_EVERY);
        await sleep(clock, size.settling, signal);
        samples.push(...(await measure(site, from, load, size, context)));
        if (load !== 'alone') await others.quiet();
      }
    }
    return sideBySide(figuresOf(samples));
  },
};

/** Resolves with when the range begins. */
async function loadRange(site: Site, { range }: Size, { clock, progress }: BenchContext): Promise<EpochMs> {
  const readings = (range / 1_000) * SENSORS;
  progress(`storing ${readings.toLocaleString('en')} readings of one hub`);
  const load = site.load(site.hubs.slice(0, 1), 1);
  await load.start(site.connectorAddress, BATCH);
  await load.connected();
  const from = epochMs(clock.now() - range - JITTER_MS);
  await load.prepare(readings, SENSORS);
  await load.feed(readings, BATCH);
  await verifyStored(site, await load.durable());
  await load.stop();
  return from;
}

async function loadLatest(site: Site, { hubs, sensorsEach }: Size, { progress }: BenchContext): Promise<HubLoad> {
  progress(`storing readings of ${(hubs * sensorsEach).toLocaleString('en')} sensors`);
  const load = site.load(site.hubs.slice(1), 1);
  await load.start(site.connectorAddress);
  await load.connected();
  await load.prepare(sensorsEach, sensorsEach);
  await load.feed(sensorsEach, sensorsEach);
  return load;
}

/** What has been stored is put in order afterwards; whoever asks seldom asks at once. */
async function untilIdle({ cloud }: Site, { clock, signal }: BenchContext): Promise<void> {
  for (let patience = 60; patience > 0; patience--) {
    const before = cpuSeconds(cloud.pid ?? 0);
    await sleep(clock, LOOK, signal);
    if (cpuSeconds(cloud.pid ?? 0) - before < (LOOK / 1_000) * IDLE) return;
  }
}

async function measure(site: Site, from: EpochMs, load: string, size: Size, context: BenchContext): Promise<Sample[]> {
  const { readings } = site.client;
  const sensors = size.hubs * size.sensorsEach + SENSORS;
  const machineId = site.hubs[0]?.machineId ?? '';
  const range = { machineId, sensor: 1, fromMs: from, untilMs: from + size.range };
  const [values, buckets] = [size.range / seconds(1), size.range / minutes(1)];

  const latest = async (pageSize: number): Promise<number> => (await readings.getLatest({ pageSize })).readings.length;
  const allLatest = async (): Promise<number> => {
    let [count, pageToken] = [0, ''];
    do {
      const answer = await readings.getLatest({ pageSize: 10_000, pageToken });
      count += answer.readings.length;
      pageToken = answer.nextPageToken;
    } while (pageToken !== '');
    return count;
  };
  const raw = async (): Promise<number> => {
    let count = 0;
    for await (const some of readings.queryReadings(range)) count += some.readings.length;
    return count;
  };
  const inBuckets = async (): Promise<number> => {
    let [count, filled] = [0, 0];
    for await (const { content } of readings.aggregateReadings({ ...range, bucketMs: minutes(1) })) {
      if (content?.$case !== 'metric') continue;
      for (const some of content.value.counts) count += some;
      filled += content.value.buckets.length;
    }
    return filled === buckets ? count : Number.NaN;
  };
  const page = Math.min(1_000, sensors);
  const asked = [
    { figure: 'a page of the latest', calls: size.calls, ask: () => latest(page), expected: page },
    { figure: 'latest of all sensors', calls: size.fewCalls, ask: allLatest, expected: sensors },
    { figure: 'buckets', calls: size.calls, ask: inBuckets, expected: values },
    { figure: 'raw', calls: size.fewCalls, ask: raw, expected: values },
  ];
  const samples: Sample[] = [];
  for (const { figure, calls, ask, expected } of asked) {
    const took = await times(calls, ask, expected, context);
    // Of few calls there is no such thing as a 99th percentile.
    const last = calls === size.calls ? 'p99' : 'longest';
    samples.push({ figure: `${figure} p50`, at: load, unit: 'ms', value: percentile(took, 0.5) });
    samples.push({ figure: `${figure} ${last}`, at: load, unit: 'ms', value: percentile(took, 0.99) });
  }
  return samples;
}

/** Asks again and again, one call after another; throws when an answer is not what it should be. */
async function times(
  calls: number,
  ask: () => Promise<number>,
  expected: number,
  { clock, signal }: BenchContext,
): Promise<number[]> {
  const took: number[] = [];
  for (let i = -Math.ceil(calls / WARM_UP); i < calls; i++) {
    signal.throwIfAborted();
    const began = clock.monotonic();
    const found = await ask();
    if (i >= 0) took.push(clock.monotonic() - began);
    if (found !== expected) throw new Error(`${found} came instead of ${expected}`);
  }
  return took;
}
