// Merging by itself: what was left at a start, what has become due since, how much of the time it takes, and what it does
// when it cannot.
import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { State } from '../../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { BackgroundMerging } from '../../../../../src/cloud/telemetry/merging/background.js';
import { Due } from '../../../../../src/cloud/telemetry/merging/due.js';
import type { Steps } from '../../../../../src/cloud/telemetry/merging/plan.js';
import type { Clock } from '../../../../../src/kernel/clock.js';
import { epochMs, milliseconds, minutes } from '../../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../../src/kernel/log.js';
import { MemoryStore } from '../../../../../src/storage/memory.js';
import { unpackBatch } from '../../../../../src/telemetry/batch.js';
import { FakeClock, settle } from '../../../../support/fake-clock.js';
import { HUB, LOG, TelemetryStore, WrittenLog } from '../../../../support/telemetry-store.js';
import { until } from '../../../../support/until.js';

const STEPS: Steps = [4, 16];

const log = new WrittenLog(
  Array.from({ length: 64 }, (_, number) => ({
    number,
    readings: [1, 2].map((sensor) => {
      const takenAt = epochMs(1_000 * number);
      return { sensor, takenAt, state: State.OK, message: '', values: [] };
    }),
  })),
);

describe('merging in the background', () => {
  let clock: FakeClock;
  let store: MemoryStore;
  let telemetry: TelemetryStore;
  let isBusy: boolean;
  let stop: AbortController;
  let merging: BackgroundMerging;
  let running: Promise<void>;
  beforeEach(() => {
    clock = new FakeClock();
    store = new MemoryStore();
    telemetry = new TelemetryStore(store);
    isBusy = false;
    stop = new AbortController();
    merging = new BackgroundMerging({ store, clock, log: silentLogger, isBusy: () => isBusy }, STEPS);
    telemetry.ingest.onStored((...stored) => merging.stored(...stored));
    running = Promise.resolve();
  });
  afterEach(async () => {
    stop.abort();
    await running;
    expect(clock.armed).to.equal(0);
    expect(getEventListeners(stop.signal, 'abort')).to.have.length(0);
  });

  const add = async (from: number, to: number) => {
    for (let i = from; i < to; i++) await telemetry.add(log.batch(i, i + 1));
  };
  const run = (hubs = [HUB]) => {
    running = merging.run(
      hubs.map((hub) => ({ hub })),
      stop.signal,
    );
  };
  const entries = async () => (await telemetry.contents()).entries.length;

  it('begins with what was left, and goes on with what becomes due', async () => {
    await add(0, 8);
    merging = new BackgroundMerging({ store, clock, log: silentLogger, isBusy: () => isBusy }, STEPS);
    run();
    await until(async () => (await entries()) === 2, 'what was left is merged');
    await add(8, 15);
    await until(async () => (await entries()) === 3 + 3, 'what is due is merged, and what is not stays');
    await add(15, 16);
    await until(async () => (await entries()) === 1, 'the next step');
    expect(await telemetry.query()).to.deep.equal(log.placed(0, 16));
  });

  it('rests as long as it has worked, and nine times as long while batches come in', async () => {
    const rests: number[] = [];
    let now = 0;
    const slow: Clock = {
      now: () => epochMs(now),
      // Whatever is done takes 10 ms.
      monotonic: () => {
        now += 10;
        return milliseconds(now);
      },
      after: (delay, action) => {
        rests.push(delay);
        setImmediate(action);
        return { disarm: () => undefined, [Symbol.dispose]: () => undefined };
      },
    };
    for (const [busy, first, end, rest] of [
      [false, 0, 4, 10],
      [true, 4, 8, 90],
    ] as const) {
      isBusy = busy;
      await add(first, end);
      merging = new BackgroundMerging({ store, clock: slow, log: silentLogger, isBusy: () => isBusy }, STEPS);
      run();
      await until(async () => (await entries()) === end / 4, 'merged');
      stop.abort();
      await running;
      stop = new AbortController();
      expect(rests.splice(0)).to.satisfy((all: number[]) => all.length > 5 && all.every((one) => one === rest));
    }
  });

  it('tries again later after a failed write, and leaves everything as it was until then', async () => {
    await add(0, 4);
    store.failNextWrite();
    run([]);
    await clock.untilArmed();
    expect(await entries()).to.equal(4);
    await add(4, 8);
    await clock.advance(minutes(1));
    await until(async () => (await entries()) === 2, 'merged in the end');
    expect(await telemetry.query()).to.deep.equal(log.placed(0, 8));
  });

  it('ends when it is told to, in the middle of everything', async () => {
    await add(0, 64);
    run();
    await settle();
    stop.abort();
    await running;
    expect(await telemetry.query()).to.deep.equal(log.placed());
  });

  it('counts a log anew once it has been taken, with all that was stored in it since', async () => {
    const due = new Due(STEPS);
    const store = (flush: number) => due.stored(HUB, LOG, unpackBatch(log.batch(flush, flush + 1).content));
    for (const flush of [7, 3, 5]) store(flush);
    expect(due.take()).to.equal(undefined);
    for (const flush of [4, 9]) store(flush);
    expect(due.take()).to.deep.include({ hub: HUB, log: LOG, first: 3, end: 10 });
    expect(due.take()).to.equal(undefined);
    for (const flush of [20, 21, 22]) store(flush);
    expect(due.take()).to.equal(undefined);
    const waiting = due.wait(stop.signal);
    store(23);
    await waiting;
    expect(due.take()).to.deep.include({ first: 20, end: 24 });
  });
});
