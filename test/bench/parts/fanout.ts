// What it costs to show readings to many at once: hubs report, and subscribers, each with a connection of its own, watch all
// of them. All subscribers are in this process, which decodes what each of them is told: of the delay that is a part.
import { sleep } from '../../../src/kernel/clock.js';
import { type Duration, seconds } from '../../../src/kernel/duration.js';
import { Scope } from '../../../src/kernel/scope.js';
import { type BenchContext, figuresOf, type Part, type Sample, sideBySide } from '../part.js';
import { cpuSeconds } from '../processes.js';
import { percentile } from '../report.js';
import { planSite, Site } from '../site.js';

interface Size {
  readonly hubs: number;
  readonly subscribers: readonly number[];
  readonly settling: Duration;
  readonly measuring: Duration;
}

const FULL: Size = { hubs: 20, subscribers: [0, 1, 100], settling: seconds(3), measuring: seconds(15) };
const SMOKE: Size = { hubs: 2, subscribers: [0, 3], settling: seconds(1), measuring: seconds(1) };
const SENSORS = 20;
const LIVE_EVERY = seconds(1);

export const fanout: Part = {
  name: 'fanout',
  about: 'readings shown to 100 subscribers as they come',
  run: async (context) => {
    const { smoke, scope, runs, progress, signal } = context;
    const size = smoke ? SMOKE : FULL;
    const site = await Site.start(await planSite(size.hubs, context), 'run', {}, context);
    scope.defer(() => site.remove());
    await site.startConnector();
    const load = site.load(site.hubs, 1);
    await load.start(site.connectorAddress);
    await load.connected();
    await load.live(SENSORS, LIVE_EVERY);
    const samples: Sample[] = [];
    for (let run = 1; run <= runs; run++) {
      for (const subscribers of size.subscribers) {
        signal.throwIfAborted();
        progress(`${subscribers} subscribers, run ${run} of ${runs}`);
        samples.push(...(await measure(site, subscribers, size, context)));
      }
    }
    await load.quiet();
    return sideBySide(figuresOf(samples));
  },
};

async function measure(site: Site, count: number, size: Size, { clock, signal }: BenchContext): Promise<Sample[]> {
  const watching = new Scope();
  const delays: number[][] = [];
  try {
    let failure: Error | undefined;
    for (let i = 0; i < count; i++) {
      const client = await site.anotherClient();
      watching.defer(() => client.close());
      const ofOne: number[] = [];
      delays.push(ofOne);
      watching.child().run(
        async (ended) => {
          for await (const { readings } of client.readings.watchReadings({}, { signal: ended })) {
            const now = clock.now();
            for (const { takenAtMs } of readings) ofOne.push(now - takenAtMs);
          }
        },
        (error) => {
          failure = error;
        },
      );
    }
    await sleep(clock, size.settling, signal);
    for (const ofOne of delays) ofOne.length = 0;
    const before = cpuSeconds(site.cloud.pid ?? 0);
    await sleep(clock, size.measuring, signal);
    const cpu = cpuSeconds(site.cloud.pid ?? 0) - before;
    if (failure) throw failure;
    const told = delays.map((ofOne) => ofOne.length);
    if (told.includes(0)) throw new Error(`of ${count} subscribers some were told nothing: ${told.join(' ')}`);
    const at = `${count} subscribers`;
    const share = { figure: 'CPU of the cloud', at, unit: '%', value: (cpu * 100_000) / size.measuring };
    if (count === 0) return [share];
    const all = delays.flat();
    return [
      { figure: 'readings told per second', at, unit: '/s', value: (all.length * 1_000) / size.measuring },
      { figure: 'delay p50', at, unit: 'ms', value: percentile(all, 0.5) },
      { figure: 'delay p99', at, unit: 'ms', value: percentile(all, 0.99) },
      share,
    ];
  } finally {
    await watching.stop();
  }
}
