// What customers notice of another one that does a hundred times as much: how long their readings take to be stored, and
// their questions to be answered, alone, beside its readings, and beside readings and calls as many as it may make.
import { Caller } from '../../../gen/occmesh/access/v1/access.js';
import { type Clock, sleep } from '../../../src/kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../../../src/kernel/duration.js';
import type { Stoppable } from '../../../src/kernel/scope.js';
import { LatencyWatch } from '../latency.js';
import { verifyStored } from '../load.js';
import { type BenchContext, figuresOf, type Part, type Sample, sideBySide } from '../part.js';
import { Program } from '../program.js';
import type { CallerAbilities } from '../programs/callers.js';
import { percentile } from '../report.js';
import { planSite, Site } from '../site.js';

interface Size {
  readonly quiet: Hubs;
  readonly noisy: Hubs;
  /** Who ask at the same time, one question after another. */
  readonly callers: number;
  readonly settling: Duration;
  readonly measuring: Duration;
}

/** Each measures all of its sensors once in a second. */
interface Hubs {
  readonly count: number;
  readonly sensors: number;
}

const FULL: Size = {
  quiet: { count: 5, sensors: 20 },
  noisy: { count: 100, sensors: 100 },
  callers: 20,
  settling: seconds(3),
  measuring: seconds(20),
};
const SMOKE: Size = {
  quiet: { count: 2, sensors: 2 },
  noisy: { count: 2, sensors: 100 },
  callers: 2,
  settling: seconds(1.5),
  measuring: seconds(1.5),
};
const EVERY = seconds(1);
const ASK_EVERY = milliseconds(50);

export const noisy: Part = {
  name: 'noisy',
  about: 'a customer beside one with a hundred times as many readings',
  run: async (context) => {
    const { smoke, scope, runs, progress, signal } = context;
    const size = smoke ? SMOKE : FULL;
    const site = await Site.start(await planSite(size.quiet.count, context, size.noisy.count), 'run', {}, context);
    scope.defer(() => site.remove());
    await Promise.all([site.startConnector(), site.startNeighbour()]);
    const [quiet, loud] = [site.load(site.hubs, 1), site.load(site.neighbours, 1)];
    await Promise.all([quiet.start(site.connectorAddress), loud.start(site.neighbourAddress)]);
    await Promise.all([quiet.connected(), loud.connected()]);
    await quiet.live(size.quiet.sensors, EVERY);
    const samples: Sample[] = [];
    for (let run = 1; run <= runs; run++) {
      const step = (at: string) => {
        signal.throwIfAborted();
        progress(`${at}, run ${run} of ${runs}`);
        return measure(site, size, context);
      };
      const alone = await step('alone');
      await loud.live(size.noisy.sensors, EVERY);
      const beside = await step('beside readings');
      const calls = await NoisyCalls.start(site, size.callers, context);
      const both = await step('beside readings and calls');
      const answered = await calls.answered();
      await calls.stop();
      await loud.quiet();
      await loud.delivered();
      samples.push(
        ...figures('alone', alone),
        ...figures('beside its readings', beside, alone),
        ...figures('beside its readings and calls', both, alone),
        { figure: 'calls of the noisy customer', at: 'answered', unit: '/s', value: answered },
      );
    }
    await quiet.quiet();
    await quiet.delivered();
    await verifyStored(site, { ...(await quiet.durable()), ...(await loud.durable()) });
    return sideBySide(figuresOf(samples));
  },
};

/** Milliseconds: of each flush, and of each question. */
interface Noticed {
  readonly live: readonly number[];
  readonly questions: readonly number[];
}

async function measure(site: Site, { settling, measuring }: Size, { clock, signal }: BenchContext): Promise<Noticed> {
  const machineIds = site.hubs.map(({ machineId }) => machineId);
  const [machineId = ''] = machineIds;
  const watch = new LatencyWatch(site.client, machineIds, clock);
  await sleep(clock, settling, signal);
  const questions: number[] = [];
  const ask = async () => {
    const asked = clock.monotonic();
    const { readings } = await site.client.readings.getLatest({ machineId }, { signal });
    if (readings.length === 0) throw new Error('the answer is empty');
    questions.push(clock.monotonic() - asked);
  };
  // The first one is not like the others.
  await ask();
  questions.length = 0;
  const from = clock.now();
  const until = clock.monotonic() + measuring;
  while (clock.monotonic() < until) {
    await ask();
    await sleep(clock, ASK_EVERY, signal);
  }
  await watch.stop();
  return { live: watch.between(from, clock.now()), questions };
}

function figures(at: string, noticed: Noticed, alone?: Noticed): Sample[] {
  const p99 = { live: percentile(noticed.live, 0.99), questions: percentile(noticed.questions, 0.99) };
  const all: Sample[] = [
    { figure: 'live p50', at, unit: 'ms', value: percentile(noticed.live, 0.5) },
    { figure: 'live p99', at, unit: 'ms', value: p99.live },
    { figure: 'question p50', at, unit: 'ms', value: percentile(noticed.questions, 0.5) },
    { figure: 'question p99', at, unit: 'ms', value: p99.questions },
  ];
  if (!alone) return all;
  return [
    ...all,
    { figure: 'live p99, to alone', at, unit: 'times', value: p99.live / percentile(alone.live, 0.99) },
    { figure: 'question p99, to alone', at, unit: 'times', value: p99.questions / percentile(alone.questions, 0.99) },
  ];
}

/** Services of the noisy customer. */
class NoisyCalls implements Stoppable {
  readonly #began: Duration;

  private constructor(
    private readonly program: Program<CallerAbilities>,
    private readonly clock: Clock,
  ) {
    this.#began = clock.monotonic();
  }

  static async start(site: Site, count: number, { clock, directory, scope }: BenchContext): Promise<NoisyCalls> {
    const { customerId } = site.plan.neighbour;
    const { text: token } = await site.client.tokens.createApiToken({ caller: Caller.CUSTOMER_READER, customerId });
    const program = scope.own(
      new Program<CallerAbilities>({ name: 'callers', logFile: `${directory}/callers.log` }, clock),
    );
    await program.ask('start', { to: { ...(await site.access()), token }, count });
    return new NoisyCalls(program, clock);
  }

  /** Of all together, per second. */
  async answered(): Promise<number> {
    return ((await this.program.ask('answered', null)) * 1_000) / (this.clock.monotonic() - this.#began);
  }

  stop(): Promise<void> {
    return this.program.stop();
  }
}
