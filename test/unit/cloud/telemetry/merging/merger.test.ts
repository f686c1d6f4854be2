// What merging does to a store: blocks for batches in one commit, fewer bytes, and what it leaves alone.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { State } from '../../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { heldRanges, openRange } from '../../../../../src/cloud/telemetry/held.js';
import { LatestReadings } from '../../../../../src/cloud/telemetry/latest.js';
import { Merger } from '../../../../../src/cloud/telemetry/merging/merger.js';
import { STEPS, type Steps } from '../../../../../src/cloud/telemetry/merging/plan.js';
import { mergeAround, mergeHub } from '../../../../../src/cloud/telemetry/merging/walk.js';
import { querySeries } from '../../../../../src/cloud/telemetry/query.js';
import { epochMs } from '../../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../../src/kernel/log.js';
import { LevelStore } from '../../../../../src/storage/level.js';
import { MemoryStore } from '../../../../../src/storage/memory.js';
import type { Store } from '../../../../../src/storage/store.js';
import type { Flush } from '../../../../../src/telemetry/reading.js';
import { compactedSize } from '../../../../bench/store-size.js';
import { seededRandom, testSeed } from '../../../../support/seeded-random.js';
import { ALL_TIME, HUB, TelemetryStore, WrittenLog } from '../../../../support/telemetry-store.js';
import { randomWalk } from '../../../telemetry/arbitraries.js';

const walkOf = (store: Store, steps: Steps = [2, 4, 8]) => ({ store, steps, merger: new Merger({ store }, steps) });

const simple = (number: number, sensors = [1, 2]): Flush => ({
  number,
  readings: sensors.map((sensor) => ({
    ...{ sensor, takenAt: epochMs(1_000 * number), state: State.OK, message: '' },
    values: [{ name: 'id', unit: '', value: number }],
  })),
});

const logOf = (flushes: number, sensors?: number[]): WrittenLog =>
  new WrittenLog(Array.from({ length: flushes }, (_, i) => simple(i, sensors)));

describe(`merging (seed ${testSeed})`, () => {
  let store: MemoryStore;
  let telemetry: TelemetryStore;
  beforeEach(() => {
    store = new MemoryStore();
    telemetry = new TelemetryStore(store);
  });

  const add = async (log: WrittenLog, flushes: Iterable<number>) => {
    for (const i of flushes) expect(await telemetry.add(log.batch(i, i + 1))).to.equal('stored');
  };
  const spans = async () => {
    const { entries } = await telemetry.contents();
    return entries.map(([first, { flushCount, sensorCount, settled }]) => [first, flushCount, sensorCount, settled]);
  };

  it('puts one entry and one block per sensor in the place of batches, in one commit', async () => {
    const log = logOf(8);
    await add(log, Array(8).keys());
    const writes = store.writes;
    expect(await mergeHub(walkOf(store), HUB)).to.equal(7);
    expect(store.writes - writes).to.equal(7);
    expect(await telemetry.contents()).to.deep.include({ batches: 0, blocks: 2 });
    expect(await spans()).to.deep.equal([[0, 8, 2, true]]);
    expect(await telemetry.query()).to.deep.equal(log.placed());
    expect(await mergeHub(walkOf(store), HUB, true), 'again: nothing to do').to.equal(0);
  });

  it('goes on where it stopped looking, with the chain of what it has merged', async () => {
    const log = logOf(40);
    await add(log, Array(40).keys());
    expect(await mergeHub({ ...walkOf(store, [1_000]), atOnce: 3 }, HUB, true)).to.be.greaterThan(10);
    expect(await spans()).to.deep.equal([[0, 40, 2, false]]);
    expect(await telemetry.query()).to.deep.equal(log.placed());
  });

  it('passes by what is settled, however much of it there is', async () => {
    await add(logOf(40), Array(40).keys());
    expect(await mergeHub({ ...walkOf(store, [2]), atOnce: 5 }, HUB)).to.equal(20);
    expect(await spans()).to.deep.equal(Array.from({ length: 20 }, (_, i) => [2 * i, 2, 2, true]));
    expect(await mergeHub({ ...walkOf(store, [2]), atOnce: 3 }, HUB), 'nothing to do, and it ends').to.equal(0);
  });

  it('writes a reading again once for each step at most, however many there are', async () => {
    const log = logOf(500, [1]);
    let rewritten = 0;
    for (let i = 0; i < 500; i++) {
      await add(log, [i]);
      for (let merges = 1; merges > 0; ) {
        const before = new Map((await telemetry.contents()).entries);
        merges = await mergeAround(walkOf(store, [4, 16, 64]), HUB, { log: log.id, first: i, end: i + 1 });
        for (const [first, { readingCount }] of (await telemetry.contents()).entries) {
          if (readingCount > (before.get(first)?.readingCount ?? 0) && before.has(first)) rewritten += readingCount;
        }
      }
    }
    expect(rewritten / 500).to.be.at.most(3);
    expect((await telemetry.contents()).entries.length).to.be.at.most(8 + 3 + 3 + 3);
  });

  it('leaves a batch after a hole alone, whose chain nobody can follow, and merges those behind it', async () => {
    const log = logOf(9);
    await add(log, [3, 4, 5, 6, 7]);
    await mergeHub(walkOf(store), HUB);
    expect((await spans()).map(([first, count]) => [first, count])).to.deep.equal([
      [3, 1],
      [4, 4],
    ]);
    await add(log, [2, 1, 0]);
    await mergeHub(walkOf(store), HUB, true);
    expect(await spans()).to.deep.equal([[0, 8, 2, true]]);
  });

  it('does not merge what two machines have written, and does not try again', async () => {
    const [mine, theirs] = [logOf(4), new WrittenLog([0, 1, 2, 3, 4, 5, 6, 7].map((i) => simple(i, [2, 3])))];
    await add(mine, [0, 1, 2, 3]);
    await add(theirs, [4, 5, 6, 7]);
    await mergeHub(walkOf(store), HUB, true);
    expect(await spans()).to.deep.equal([
      [0, 4, 2, false],
      [4, 1, 2, true],
      [5, 3, 2, false],
    ]);
    const writes = store.writes;
    expect(await mergeHub(walkOf(store), HUB, true)).to.equal(0);
    expect(store.writes).to.equal(writes);
    expect(await telemetry.query()).to.deep.equal([...mine.placed(), ...theirs.placed(4)]);
  });

  it('takes the same batch again for held, also a part or neighbours of it, and another one for a conflict', async () => {
    const log = logOf(8);
    await add(log, Array(8).keys());
    await mergeHub(walkOf(store), HUB);
    for (const [first, end] of [
      [0, 1],
      [3, 4],
      [7, 8],
      [2, 6],
      [0, 8],
    ] as const) {
      expect(await telemetry.add(log.batch(first, end))).to.equal('held');
    }
    const other = new WrittenLog(log.flushes.map((flush) => (flush.number === 3 ? simple(3, [9]) : flush)));
    for (const [first, end] of [
      [3, 4],
      [4, 5],
      [7, 8],
      [0, 8],
    ] as const) {
      expect(await telemetry.add(other.batch(first, end)), `${first}`).to.equal('conflict');
    }
    expect(await telemetry.add(other.batch(0, 3)), 'the same so far').to.equal('held');
    expect(await telemetry.add(logOf(9).batch(7, 9)), 'more than is held').to.equal('conflict');
  });

  it('says of a range that has become another that it is no longer there, and never that it is empty', async () => {
    const log = logOf(8);
    await add(log, Array(8).keys());
    const before = [];
    for await (const range of heldRanges(store, HUB)) before.push(range);
    expect(await openRange(store, HUB, before[0] as never, 7), 'a batch is read as a whole').to.have.length(1);
    await mergeHub(walkOf(store), HUB);
    for (const range of before) expect(await openRange(store, HUB, range)).to.equal(undefined);
    for await (const range of heldRanges(store, HUB)) {
      expect(await openRange(store, HUB, range, 7), 'a sensor without readings').to.deep.equal([]);
      expect(await openRange(store, HUB, range, 2)).to.have.length(1);
    }
  });

  it('reads back the latest of every sensor from blocks and batches', async () => {
    const log = new WrittenLog([0, 1, 2, 3, 4].map((i) => simple(i, i === 0 ? [1, 2, 3] : i < 4 ? [1, 2] : [2])));
    await add(log, [0, 1, 2, 3]);
    await mergeHub(walkOf(store), HUB, true);
    await add(log, [4]);
    const latest = new LatestReadings();
    await latest.load(HUB, store, new Set([1, 2, 3]));
    const found = latest.of(HUB).map(({ reading, flush, position }) => [reading.sensor, flush, position]);
    expect(found).to.deep.equal([
      [1, 3, 0],
      [2, 4, 0],
      [3, 0, 2],
    ]);
  });

  it('writes nothing of a merge during which a write has failed, nor of one that fails itself', async () => {
    const log = logOf(4);
    await add(log, Array(4).keys());
    let turns = 0;
    const pause = async () => {
      if (turns++ !== 1) return;
      store.failNextWrite();
      await store.commit(() => [{ del: Buffer.of(0x70) }]).catch(() => undefined);
    };
    const steps: Steps = [2, 4, 8];
    expect(await mergeHub({ store, steps, merger: new Merger({ store, pause }, steps) }, HUB)).to.equal(0);
    expect((await telemetry.contents()).batches).to.equal(4);
    store.failNextWrite();
    const failed = await mergeHub(walkOf(store), HUB).catch(({ code }: { code: string }) => code);
    expect(failed).to.equal('storage.write-failed');
    expect((await telemetry.contents()).batches).to.equal(4);
    expect(await mergeHub(walkOf(store), HUB, true)).to.be.greaterThan(0);
    expect(await telemetry.query()).to.deep.equal(log.placed());
  });

  it('does not make blocks of what has too many sensors for them', async () => {
    const many = Array.from({ length: 2_001 }, (_, i) => i + 1);
    const log = new WrittenLog([simple(0, many), simple(1), simple(2)]);
    await add(log, [0, 1, 2]);
    await mergeHub(walkOf(store), HUB, true);
    expect(await spans()).to.deep.equal([
      [0, 1, 2_001, true],
      [1, 2, 2, false],
    ]);
  });

  it('takes at most 1.5 bytes for a steady reading in the real store, where batches of 100 take 4', async function () {
    this.timeout(30_000);
    const directory = await mkdtemp(join(tmpdir(), 'merged-'));
    try {
      const readings = 60_000;
      const flushes = randomWalk(seededRandom(testSeed), { sensors: 20, readings, flushes: readings / 100, step: 1 });
      const log = new WrittenLog(flushes.map((flush, number) => ({ ...flush, number })));
      const level = await LevelStore.open({ directory }, { log: silentLogger });
      telemetry = new TelemetryStore(level);
      for (let i = 0; i < log.flushes.length; i++) await telemetry.add(log.batch(i, i + 1));
      await level.stop();
      const before = (await compactedSize(directory)) / readings;
      const again = await LevelStore.open({ directory }, { log: silentLogger });
      await mergeHub(walkOf(again, STEPS), HUB, true);
      let found = 0;
      for await (const some of querySeries(again, HUB, { ...ALL_TIME, sensor: 7 })) {
        for (const { takenAt } of some) found += takenAt.length;
      }
      await again.stop();
      const after = (await compactedSize(directory)) / readings;
      if (this.test) this.test.title += `: ${before.toFixed(2)} → ${after.toFixed(2)}`;
      expect(found).to.equal(readings / 20);
      expect(before).to.be.within(3.5, 4.5);
      expect(after).to.be.at.most(1.5);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
