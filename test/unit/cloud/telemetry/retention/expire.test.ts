// Expired readings: what is known in sums before is known in sums after, wherever a crash comes between; what was held
// counts as held; and what is wrong with a clock breaks nothing.
import { expect } from 'chai';
import fc from 'fast-check';
import { State } from '../../../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Retention } from '../../../../../src/cloud/inventory/retention.js';
import { digestsOf } from '../../../../../src/cloud/telemetry/chains.js';
import { type HeldRange, heldRanges } from '../../../../../src/cloud/telemetry/held.js';
import { sumUp } from '../../../../../src/cloud/telemetry/history.js';
import { Ledger } from '../../../../../src/cloud/telemetry/ledger.js';
import { mendTelemetry } from '../../../../../src/cloud/telemetry/mend.js';
import { Merger } from '../../../../../src/cloud/telemetry/merging/merger.js';
import type { Steps } from '../../../../../src/cloud/telemetry/merging/plan.js';
import { mergeHub } from '../../../../../src/cloud/telemetry/merging/walk.js';
import { Expirer } from '../../../../../src/cloud/telemetry/retention/expire.js';
import { expireHub } from '../../../../../src/cloud/telemetry/retention/walk.js';
import { DAY, WINDOW } from '../../../../../src/cloud/telemetry/summaries/block.js';
import { days, epochMs } from '../../../../../src/kernel/duration.js';
import { SerialByKey } from '../../../../../src/kernel/serial.js';
import { EVERYTHING } from '../../../../../src/storage/copy.js';
import { MemoryStore } from '../../../../../src/storage/memory.js';
import type { Op, Store } from '../../../../../src/storage/store.js';
import type { Flush } from '../../../../../src/telemetry/reading.js';
import { settle } from '../../../../support/fake-clock.js';
import { testSeed } from '../../../../support/seeded-random.js';
import { HUB, TelemetryStore, WrittenLog } from '../../../../support/telemetry-store.js';
import { until } from '../../../../support/until.js';
import { runs } from '../../../telemetry/arbitraries.js';

const NOW = epochMs(20_000 * DAY + DAY / 2);
const RETENTION: Retention = { raw: days(30), summaries: days(400) };
const STEPS: Steps = [2, 6];
const nothing = async () => undefined;

/** A flush of readings that were taken so many days ago; eighths, so that no sum depends on its order. */
const flush = (number: number, ages: readonly number[], sensors = [1, 2]): Flush => ({
  number,
  readings: sensors.flatMap((sensor) =>
    ages.map((age, i) => ({
      ...{ sensor, takenAt: epochMs(NOW - Math.round(age * DAY)), state: State.OK + ((number + i) % 4), message: '' },
      values: [{ name: 'n', unit: '', value: (number * 10 + i + sensor) / 8 }],
    })),
  ),
});
const logOf = (ages: readonly (readonly number[])[]) => new WrittenLog(ages.map((of, number) => flush(number, of)));

/** From 30 days ago backwards and forwards, one reading each. */
const steady = (flushes: number, from = 40, to = 20) =>
  logOf(Array.from({ length: flushes }, (_, i) => [from + ((to - from) * i) / flushes]));

const expire = (store: Store, now = NOW, retention = RETENTION, atOnce = 4) => {
  const ledger = new Ledger(store);
  const expirer = new Expirer({ store, ledger, turns: new SerialByKey(), pause: nothing });
  return expireHub({ store, ledger, expirer, pause: nothing, atOnce }, HUB, retention, now);
};
const merge = (store: Store) => mergeHub({ store, steps: STEPS, merger: new Merger({ store }, STEPS) }, HUB);

/** Everything in buckets of half a day. */
async function sums(store: Store, from = NOW - 500 * DAY, until = NOW + 500 * DAY) {
  const start = Math.floor(from / WINDOW) * WINDOW;
  const width = 144 * WINDOW;
  const query = { sensor: 0, from: start, until, width };
  const { sensors } = await sumUp({ store, ledger: new Ledger(store) }, HUB, query);
  return sensors.map(({ sensor, states, metrics }) => ({
    sensor,
    states: [...states.counts].flatMap((count, i) => (count === 0 ? [] : [[i, count, states.worst[i]]])),
    metrics: metrics.map((of) =>
      [...of.counts].flatMap((count, i) =>
        count === 0 ? [] : [[i, count, of.minimums[i], of.maximums[i], of.sums[i], of.lasts[i]]],
      ),
    ),
  }));
}

describe(`readings that expire (seed ${testSeed})`, () => {
  let store: MemoryStore;
  let telemetry: TelemetryStore;
  beforeEach(() => {
    store = new MemoryStore();
    telemetry = new TelemetryStore(store);
  });

  const add = async (log: WrittenLog, flushes: Iterable<number> = log.flushes.keys()) => {
    for (const i of flushes) expect(await telemetry.add(log.batch(i, i + 1))).to.equal('stored');
  };
  const spans = async () => {
    const { entries } = await telemetry.contents();
    return entries.map(([first, { flushCount, expired }]) => [first, flushCount, expired]);
  };

  it('are gone, known in sums, and held all the same', async () => {
    const log = steady(20);
    await add(log);
    const before = await sums(store);
    expect(await expire(store)).to.deep.equal({ readings: 20, forgotten: 0, summaries: 0 });
    expect(await spans()).to.deep.equal([[0, 10, true], ...Array.from({ length: 10 }, (_, i) => [10 + i, 1, false])]);
    expect((await telemetry.contents()).batches).to.equal(10);
    expect(await telemetry.query()).to.deep.equal(log.placed(10));
    expect(await sums(store)).to.deep.equal(before);
    const state = (await new Ledger(store).of(HUB)).look(log.id);
    expect([state.held.toProto(), state.expired.toProto(), state.readings, state.chain]).to.deep.equal([
      [{ first: 0, count: 20 }],
      [{ first: 0, count: 10 }],
      40,
      log.chains[19],
    ]);
    const writes = store.writes;
    expect(await expire(store), 'again: nothing to do').to.deep.equal({ readings: 0, forgotten: 0, summaries: 0 });
    expect(store.writes).to.equal(writes);
  });

  it('tell the ledger that is in use', async () => {
    const log = steady(4, 40, 35);
    await add(log);
    const known = await telemetry.ledger.of(HUB);
    const { ledger } = telemetry;
    const expirer = new Expirer({ store, ledger, turns: new SerialByKey(), pause: nothing });
    await expireHub({ store, ledger, expirer, pause: nothing }, HUB, RETENTION, NOW);
    expect(known.look(log.id).expired.toProto()).to.deep.equal([{ first: 0, count: 4 }]);
  });

  it('count once, in whatever order they come, are merged and expire, and wherever it is cut off', async function () {
    this.timeout(60_000);
    const anyAges = fc.array(fc.array(fc.double({ min: 20, max: 40, noNaN: true }), { minLength: 1, maxLength: 3 }), {
      minLength: 3,
      maxLength: 10,
    });
    const anyPlan = fc.record({ ages: anyAges, mergeAt: fc.nat(10), expireAt: fc.nat(10), backwards: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(anyPlan, async ({ ages, mergeAt, expireAt, backwards }) => {
        const log = logOf(ages);
        // Which of two with the same timestamp is the last is not kept when their flushes expire apart.
        const times = log.flushes.flatMap(({ readings }) =>
          readings.map(({ sensor, takenAt }) => `${sensor} ${takenAt}`),
        );
        fc.pre(new Set(times).size === times.length);
        const order = backwards ? [...log.flushes.keys()].reverse() : [...log.flushes.keys()];
        const whole = new TelemetryStore(new MemoryStore());
        for (const i of order) await whole.add(log.batch(i, i + 1));
        const expected = await sums(whole.store);
        for (let cut = 0, died = true; died; cut++) {
          died = false;
          let left = cut;
          const content = new MemoryStore();
          const mortal = limitedTo(content, () => left-- !== 0);
          for (const [n, i] of order.entries()) {
            await new TelemetryStore(content).add(log.batch(i, i + 1));
            if (n === mergeAt % order.length) await merge(content);
            if (n !== expireAt % order.length && n !== order.length - 1) continue;
            await expire(mortal).catch(() => {
              died = true;
            });
          }
          expect(await sums(content), `cut at ${cut}`).to.deep.equal(expected);
          await expire(content);
          await merge(content);
          expect(await sums(content), 'and gone on').to.deep.equal(expected);
          const state = (await new Ledger(content).of(HUB)).look(log.id);
          expect(state.held.toProto()).to.deep.equal([{ first: 0, count: log.flushes.length }]);
          const mended = await mendTelemetry(content);
          expect(mended, 'nothing is damaged').to.deep.equal({ withdrawn: 0, entered: 0, removed: 0 });
        }
      }),
      runs(12),
    );
  });

  it('would be counted twice or never if what is one commit were two (negative control)', async () => {
    const log = steady(6, 40, 35);
    await add(log);
    const expected = await sums(store);
    for (const first of ['puts', 'deletions']) {
      const copy = store.restarted();
      let writes = 0;
      const torn = over(copy, async (build) => {
        const ops = build() ?? [];
        const puts = ops.filter((op) => 'put' in op === (first === 'puts'));
        writes += 1;
        if (writes < 3) return copy.commit(() => ops);
        await copy.commit(() => puts);
        throw new Error('power is gone');
      });
      await expire(torn).catch(() => undefined);
      await expire(copy);
      expect(await sums(copy), first).not.to.deep.equal(expected);
    }
  });

  it('that come when their time has been summed up already are added to it, once', async () => {
    const [early, late] = [steady(10, 40, 35), new WrittenLog(steady(10, 40, 35).flushes, Buffer.alloc(16, 0x44))];
    await add(early);
    await expire(store);
    for (const i of [3, 1, 2]) expect(await telemetry.add(late.batch(i, i + 1))).to.equal('stored');
    const expected = await sums(store);
    for (let i = 0; i < 3; i++) await expire(store);
    expect((await telemetry.contents()).batches).to.equal(0);
    expect(await sums(store)).to.deep.equal(expected);
  });

  it('are not taken again when their hub sends them again, whatever the boundaries', async () => {
    const log = steady(20, 40, 31);
    await add(log);
    await merge(store);
    await expire(store);
    expect(await spans()).to.deep.equal([[0, 20, true]]);
    const before = await sums(store);
    for (const [first, end] of [
      [0, 20],
      [3, 4],
      [19, 20],
      [5, 11],
    ] as const) {
      expect(await telemetry.add(log.batch(first, end)), `${first}`).to.equal('held');
    }
    await expire(store);
    expect(await sums(store)).to.deep.equal(before);
    const other = new WrittenLog(log.flushes.map((one) => (one.number === 7 ? flush(7, [1]) : one)));
    expect(await telemetry.add(other.batch(7, 8)), 'later than all that has expired').to.equal('conflict');
    expect(await telemetry.add(other.batch(19, 20)), 'the last one can be told').to.equal('conflict');
  });

  it('leave a hub that asks for digests with an answer for every flush', async () => {
    const log = steady(20);
    await add(log);
    await expire(store);
    const digests = await digestsOf(store, HUB, log.id, 0, 20, nothing);
    expect(digests.map(({ flush: number }) => number)).to.deep.equal([...Array(20).keys()]);
    const latest = log.flushes[9]?.readings[0]?.takenAt;
    for (const { flush: number, chain, expiredUntilMs } of digests) {
      if (number < 9) expect([chain.length, expiredUntilMs]).to.deep.equal([0, latest]);
      else expect([chain, expiredUntilMs]).to.deep.equal([log.chains[number], 0]);
    }
  });

  it('of the future expire as if they had been taken when they were noticed, and are summed up', async () => {
    const log = logOf([[-300], [1], [-90_000]]);
    await add(log);
    await merge(store);
    expect(await expire(store)).to.deep.equal({ readings: 0, forgotten: 0, summaries: 0 });
    const before = await sums(store);
    expect((await expire(store, epochMs(NOW + 29 * DAY))).readings).to.equal(0);
    expect(await expire(store, epochMs(NOW + 31 * DAY))).to.deep.equal({ readings: 6, forgotten: 2, summaries: 0 });
    expect(await telemetry.query()).to.deep.equal([]);
    expect(await sums(store)).to.deep.equal(before);
  });

  it('of the far past go at once, without a summary, and take none with them', async () => {
    const log = logOf([[1], [19_999, 35], [-1]]);
    await add(log);
    expect(await expire(store)).to.deep.equal({ readings: 4, forgotten: 2, summaries: 0 });
    expect(await telemetry.query()).to.deep.equal([...log.placed(0, 1), ...log.placed(2)]);
    expect((await sums(store)).map(({ states }) => states.length)).to.deep.equal([3, 3]);
  });

  it('are forgotten when their summaries are old, too', async () => {
    await add(steady(10, 50, 40));
    await expire(store);
    expect((await expire(store, epochMs(NOW + 355 * DAY))).summaries).to.equal(10);
    expect((await expire(store, epochMs(NOW + 400 * DAY))).summaries).to.equal(10);
    expect(await sums(store)).to.deep.equal([]);
    expect((await new Ledger(store).of(HUB)).look(steady(1).id).held.size, 'and still held').to.equal(10);
  });

  it('do not come back with what damage brings back', async () => {
    const log = steady(8, 40, 35);
    await add(log);
    const old = store.restarted();
    await merge(store);
    const merged = store.restarted();
    await expire(store);
    const expected = await sums(store);
    for (const before of [old, merged]) {
      const damaged = store.restarted();
      const back: Op[] = [];
      for await (const { key, value } of before.entries(EVERYTHING))
        if (key[16] !== 0x11) back.push({ put: key, value });
      await damaged.commit(() => back);
      const { withdrawn, entered, removed } = await mendTelemetry(damaged);
      expect([withdrawn, entered, removed > 0]).to.deep.equal([0, 0, true]);
      expect(await sums(damaged)).to.deep.equal(expected);
    }
  });

  it('are read as of one moment while they expire', async () => {
    const log = steady(30, 40, 25);
    await add(log);
    const expected = await sums(store);
    const ledger = new Ledger(store);
    const expirer = new Expirer({ store, ledger, turns: new SerialByKey(), pause: nothing });
    let done = false;
    const expiring = expireHub({ store, ledger, expirer, pause: nothing }, HUB, RETENTION, NOW).then(() => {
      done = true;
    });
    const query = { sensor: 1, from: NOW - 50 * DAY, until: NOW, width: 50 * DAY };
    let reads = 0;
    while (!done) {
      const { sensors } = await sumUp({ store, ledger }, HUB, query);
      expect(sensors[0]?.states.counts[0]).to.equal(30);
      reads += 1;
    }
    await expiring;
    expect(reads).to.be.greaterThan(3);
    expect(await sums(store)).to.deep.equal(expected);
  });

  it('keep what is done to another hub waiting for nothing, and what is done to the same one', async () => {
    await add(steady(12, 40, 35));
    let go: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    let isPausing = false;
    const pause = () => {
      isPausing = true;
      return gone;
    };
    const ledger = new Ledger(store);
    const expirer = new Expirer({ store, ledger, turns: new SerialByKey(), pause });
    const ranges: HeldRange[] = [];
    for await (const range of heldRanges(store, HUB)) ranges.push(range);
    const [range, another] = ranges as [HeldRange, HeldRange];
    const expiring = expirer.expire(HUB, range, undefined, { first: 0, end: 40_000 });
    await until(() => isPausing, 'a pause');
    const other = { customer: HUB.customer, machine: Buffer.alloc(16, 9) };
    expect(await expirer.age(other, range, NOW), 'of another hub').to.equal(undefined);
    let isDone = false;
    const same = expirer.age(HUB, another, NOW).then(() => {
      isDone = true;
    });
    await settle();
    expect(isDone, 'of the same hub').to.equal(false);
    go();
    expect((await expiring)?.readings).to.be.greaterThan(0);
    await same;
  });

  it('do not go while a merge is reading them', async () => {
    const log = steady(12, 40, 35);
    await add(log);
    const expected = await sums(store);
    const turns = new SerialByKey();
    const pause = () => new Promise<void>((resolve) => setImmediate(resolve));
    const ledger = new Ledger(store);
    const expirer = new Expirer({ store, ledger, turns, pause });
    await Promise.all([
      mergeHub({ store, steps: STEPS, merger: new Merger({ store, pause, turns }, STEPS) }, HUB),
      expireHub({ store, ledger, expirer, pause }, HUB, RETENTION, NOW),
    ]);
    await expire(store);
    expect((await telemetry.contents()).batches + (await telemetry.contents()).blocks).to.equal(0);
    expect(await sums(store)).to.deep.equal(expected);
  });
});

/** The store, with its own way to commit. */
function over(store: MemoryStore, commit: (build: () => readonly Op[] | undefined) => Promise<void>): Store {
  return {
    get: (key) => store.get(key),
    entries: (range) => store.entries(range),
    commit,
    onReset: (listener) => store.onReset(listener),
    reclaim: () => store.reclaim(),
    size: () => store.size(),
    stop: () => store.stop(),
  };
}

/** The store of a process that dies at the first commit that may not be. */
const limitedTo = (store: MemoryStore, may: () => boolean): Store =>
  over(store, async (build) => {
    if (!may()) throw new Error('power is gone');
    await store.commit(build);
  });
