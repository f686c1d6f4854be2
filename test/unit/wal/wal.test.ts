// The log over a store in memory: what it promises while nothing breaks, and when writes fail.
import { open as openFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Gap, GapReason } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { days, hours, seconds } from '../../../src/kernel/duration.js';
import { MemoryStore } from '../../../src/storage/memory.js';
import { StorageFault, type Store } from '../../../src/storage/store.js';
import { chainNext } from '../../../src/telemetry/chain.js';
import { WalFault } from '../../../src/wal/fault.js';
import type { Wal } from '../../../src/wal/wal.js';
import { FakeClock } from '../../support/fake-clock.js';
import { until } from '../../support/until.js';
import { ALL, chainStart, idOf, MACHINE, mortal, openWal, readAll, readings, temporaryDirectory } from './support.js';

const bound = (store: MemoryStore): Store => ({
  get: (key) => store.get(key),
  entries: (range) => store.entries(range),
  commit: (build) => store.commit(build),
  onReset: (listener) => store.onReset(listener),
  reclaim: () => store.reclaim(),
  size: () => store.size(),
  stop: () => store.stop(),
});

describe('Wal', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let clock: FakeClock;
  let store: MemoryStore;
  let kill = () => {};
  const wals: Wal[] = [];

  beforeEach(async () => {
    directory = await temporaryDirectory();
    clock = new FakeClock();
    store = new MemoryStore();
  });
  afterEach(async () => {
    for (const wal of wals.splice(0)) await wal.stop();
    await directory[Symbol.asyncDispose]();
  });

  const open = async (options: Partial<Parameters<typeof openWal>[1]> = {}): Promise<Wal> => {
    const life = mortal(clock);
    kill = life.kill;
    const wal = await openWal(directory.path, { clock: life.clock, openStore: async () => store, ...options });
    wals.push(wal);
    return wal;
  };
  /** As a killed process leaves it: without stop. */
  const restarted = (options: Partial<Parameters<typeof openWal>[1]> = {}): Promise<Wal> => {
    kill();
    store = store.restarted();
    return open(options);
  };
  const append = async (wal: Wal, count: number, from = 0) => {
    for (let id = from; id < from + count; id++) await wal.append(readings(id, 2));
  };
  const ids = async (wal: Wal) => (await readAll(wal)).map(({ flush }) => idOf(flush));
  const log = (wal: Wal): Buffer => wal.openLog?.log ?? Buffer.alloc(0);

  it('writes once for a flush, however many readings it has and whatever was acknowledged', async () => {
    const wal = await open();
    await append(wal, 3);
    const id = log(wal);
    const before = store.writes;
    await wal.append(readings(3, 500));
    expect(store.writes - before).to.equal(1);
    await wal.ack(id, [{ first: 0, count: 3 }]);
    expect(store.writes - before, 'written down later').to.equal(1);
    await wal.append(readings(4));
    expect(store.writes - before, 'with the next flush').to.equal(2);
  });

  it('syncs the mark once for all that was written within a second, and at the end', async () => {
    const probe = await openFile(join(directory.path, 'probe'), 'w');
    const type = Object.getPrototypeOf(probe) as { datasync(): Promise<void> };
    await probe.close();
    const { datasync } = type;
    let syncs = 0;
    type.datasync = function (this: unknown) {
      syncs += 1;
      return Reflect.apply(datasync, this, []);
    };
    try {
      const wal = await open();
      await append(wal, 20);
      expect(syncs, 'nobody waits for it').to.equal(0);
      await clock.advance(seconds(1));
      await until(() => syncs === 1, 'the mark is synced');
      await clock.advance(seconds(60));
      await wal.stop();
      expect(syncs, 'nothing was written since').to.equal(1);
      const again = await restarted();
      await again.append(readings(1));
      await again.stop();
      expect(syncs, 'at the end').to.equal(2);
    } finally {
      type.datasync = datasync;
    }
  });

  it('numbers flushes from 0, chains them, and tells listeners before the append resolves', async () => {
    const wal = await open();
    expect(wal.openLog, 'no log before the first flush').to.equal(undefined);
    const told: number[] = [];
    wal.onDurable(() => {
      throw new Error('a listener that fails changes nothing');
    });
    wal.onDurable(({ flush }) => told.push(flush));
    const both = await Promise.all([wal.append(readings(0, 3).reverse()), wal.append(readings(1))]);
    expect(told).to.deep.equal([0, 1]);
    const [first, second] = both;
    expect(first.readings.map(({ sensor }) => sensor)).to.deep.equal([1, 2, 3]);
    expect(first.chain).to.deep.equal(chainNext(chainStart(first.log), first.readings));
    expect(second.chain).to.deep.equal(chainNext(first.chain, second.readings));
    expect(await wal.chainAt(first.log, 0)).to.deep.equal(first.chain);
    expect(await wal.chainAt(first.log, -1)).to.deep.equal(first.log);
    expect(await wal.chainAt(first.log, 2)).to.equal(undefined);
    expect(wal.openLog).to.deep.equal({ log: first.log, next: 2 });
    expect(wal.queuedReadings).to.equal(4);
  });

  it('finds everything again after a crash, in a closed log, and continues under a later one', async () => {
    const before = await open();
    await append(before, 20);
    const old = log(before);
    const bytes = before.backlogBytes;
    clock.jumpWall(-days(365));
    const wal = await restarted();
    expect(wal.openLog).to.equal(undefined);
    expect(await ids(wal)).to.deep.equal(Array.from({ length: 20 }, (_, i) => i));
    expect([wal.queuedReadings, wal.backlogBytes]).to.deep.equal([40, bytes]);
    await append(wal, 1, 20);
    expect(log(wal).compare(old), 'later logs sort behind earlier ones, whatever the clock says').to.equal(1);
    const [closed, current] = wal.logs();
    expect(closed).to.deep.include({ first: 0, next: 20, acked: [], closed: true });
    expect(current).to.deep.include({ first: 0, next: 1, closed: false });
    expect(Buffer.from(closed?.chain ?? [])).to.deep.equal(await before.chainAt(old, 19));
  });

  it('reads within bounds, from memory and from the store alike', async () => {
    const wal = await open();
    await append(wal, 10);
    for (const from of [wal, await restarted()]) {
      const id = Buffer.from(from.logs()[0]?.log ?? []);
      const read = async (first: number, bounds = {}) =>
        (await from.read(id, first, { ...ALL, ...bounds })).map(({ number }) => number);
      expect(await read(7)).to.deep.equal([7, 8, 9]);
      expect(await read(2, { until: 4 })).to.deep.equal([2, 3]);
      expect(await read(2, { maxReadings: 5 })).to.deep.equal([2, 3]);
      expect(await read(2, { maxBytes: 1 }), 'one at least').to.deep.equal([2]);
      expect(await read(10)).to.deep.equal([]);
      expect(await from.read(Buffer.alloc(16), 0, ALL)).to.deep.equal([]);
    }
  });

  it('remembers what was acknowledged, keeps it for healing, and gives it back when the cloud has lost it', async () => {
    const first = await open();
    await append(first, 10);
    const id = log(first);
    const oldest = first.oldestUnackedAt;
    clock.jumpWall(5_000);
    await append(first, 1, 10);
    await first.ack(id, [{ first: 0, count: 10 }]);
    expect(first.oldestUnackedAt).to.equal((oldest ?? 0) + 5_000);
    expect(first.queuedReadings).to.equal(2);
    await clock.advance(seconds(2));
    const wal = await restarted();
    expect(await ids(wal)).to.deep.equal([10]);
    expect(wal.acked(id).toProto()).to.deep.equal([{ first: 0, count: 10 }]);
    expect((await wal.read(id, 3, ALL)).length, 'kept').to.equal(8);
    const missing = await wal.restoreUnacked(id, [{ first: 2, count: 3 }]);
    expect(missing.size).to.equal(0);
    expect(await ids(wal)).to.deep.equal([2, 3, 4, 10]);
    expect(wal.queuedReadings).to.equal(8);
    expect(wal.acked(id).toString()).to.equal('[0…1, 5…9]');
  });

  it('frees what is acknowledged after its time, and says so when the cloud asks for it', async () => {
    const wal = await open();
    await append(wal, 10);
    const id = log(wal);
    await wal.ack(id, [{ first: 0, count: 8 }]);
    await clock.advance(hours(71));
    expect((await wal.read(id, 0, ALL)).length).to.equal(10);
    const kept = await store.size();
    await clock.advance(hours(2));
    expect(await wal.read(id, 0, ALL)).to.deep.equal([]);
    expect(await store.size()).to.be.lessThan(kept / 2);
    expect(wal.logs()[0]).to.deep.include({ first: 8, next: 10, acked: [{ first: 0, count: 8 }] });
    const missing = await wal.restoreUnacked(id, [{ first: 6, count: 4 }]);
    expect(missing.toString()).to.equal('[6…7]');
    await wal.addGap(id, { first: 6, count: 2 }, GapReason.NOT_RETAINED);
    expect(wal.gaps().map(({ gap }) => [gap.firstFlush, gap.flushCount, gap.reason])).to.deep.equal([[6, 2, 5]]);
    expect(wal.acked(id).toString()).to.equal('[0…5]');
    const after = await restarted();
    expect(after.gaps().length).to.equal(1);
    await after.gapAcked(id, { first: 6, count: 2 });
    expect(after.gaps()).to.deep.equal([]);
    expect(after.gone(id).toString()).to.equal('[6…7]');
    expect((await restarted()).gaps(), 'no gap is told twice').to.deep.equal([]);
  });

  it('keeps no more than its bound of acknowledged flushes', async () => {
    const wal = await open({ heal: { maxBytes: 2_000, maxAge: hours(72) } });
    await append(wal, 100);
    const id = log(wal);
    for (let first = 0; first < 100; first += 10) {
      await wal.ack(id, [{ first, count: 10 }]);
      await clock.advance(hours(1));
    }
    const kept = await wal.read(id, 90, ALL);
    expect(kept.length, 'the newest stay').to.equal(10);
    expect(await store.size()).to.be.lessThan(5_000);
  });

  it('forgets acknowledged logs after 90 days, not before', async () => {
    const first = await open();
    await append(first, 3);
    const id = log(first);
    const second = await restarted();
    await second.ack(id, [{ first: 0, count: 3 }]);
    await append(second, 1, 3);
    await clock.advance(days(89));
    expect(second.logs().map(({ closed }) => closed)).to.deep.equal([true, false]);
    expect(second.logs()[0]).to.deep.include({ first: 3, next: 3, acked: [{ first: 0, count: 3 }] });
    await clock.advance(days(2));
    expect(second.logs().map(({ closed }) => closed)).to.deep.equal([false]);
    expect((await restarted()).gaps(), 'what was forgotten is not missed').to.deep.equal([]);
  });

  it('drops the oldest into one growing gap when it is full', async () => {
    const wal = await open({ maxBytes: 6_400 });
    let told = 0;
    wal.onGap(() => told++);
    await append(wal, 300);
    const id = log(wal);
    const here = await ids(wal);
    expect(wal.backlogBytes).to.be.within(5_000, 6_400);
    expect(here.at(-1)).to.equal(299);
    expect(here.length).to.be.greaterThan(30);
    const dropped = 300 - here.length;
    const gaps = wal.gaps().map(({ signed }) => Gap.decode(signed.content));
    expect(gaps).to.deep.equal(
      [
        {
          machineId: gaps[0]?.machineId,
          log: new Uint8Array(id),
          firstFlush: 0,
          flushCount: dropped,
          reason: GapReason.LOG_FULL,
          noticedAtMs: clock.now(),
          witness: 1,
          readingCount: 2 * dropped,
        },
      ].map((gap) => ({ ...gap, log: gaps[0]?.log })),
    );
    expect(Buffer.from(gaps[0]?.log ?? [])).to.deep.equal(id);
    expect(Buffer.from(gaps[0]?.machineId ?? [])).to.deep.equal(MACHINE);
    expect(wal.droppedReadings).to.equal(2 * dropped);
    expect(told).to.be.greaterThan(1);
    const after = await restarted();
    expect([await ids(after), after.gaps().length]).to.deep.equal([here, 1]);
  });

  it('lets go of what the cloud holds before it drops anything', async () => {
    const wal = await open({ maxBytes: 6_400 });
    await append(wal, 60);
    await wal.ack(log(wal), [{ first: 0, count: 50 }]);
    await append(wal, 60, 60);
    expect(wal.gaps()).to.deep.equal([]);
    expect((await ids(wal)).length).to.equal(70);
  });

  it('counts nothing of a failed append; its repetition gets the same number', async () => {
    const wal = await open();
    await append(wal, 2);
    store.failNextWrite();
    const failed = await wal.append(readings(2)).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(failed).to.be.instanceOf(WalFault).with.property('code', 'wal.write-failed');
    expect(wal.openLog?.next).to.equal(2);
    expect((await wal.append(readings(2))).flush).to.equal(2);
    expect(await ids(await restarted())).to.deep.equal([0, 1, 2]);
  });

  it('counts a refused append once even if it has reached the disk all the same', async () => {
    let lying = false;
    const openStore = async (): Promise<Store> => ({
      ...bound(store),
      commit: async (build) => {
        await store.commit(build);
        if (lying) throw new StorageFault('storage.write-failed', 'refused, but written');
      },
    });
    const wal = await open({ openStore });
    await append(wal, 2);
    lying = true;
    const refused = await wal.append(readings(2)).catch(() => 'refused');
    expect(refused).to.equal('refused');
    lying = false;
    await wal.startNewLog();
    await wal.append(readings(2));
    expect(await ids(await restarted())).to.deep.equal([0, 1, 2]);
  });

  it('continues a parted log under a new one, losing and doubling nothing', async () => {
    const wal = await open();
    await append(wal, 10);
    const old = log(wal);
    await wal.ack(old, [{ first: 0, count: 4 }]);
    await wal.reappend(old, 6);
    expect(await ids(wal)).to.deep.equal([4, 5, 6, 7, 8, 9]);
    expect(wal.logs().map(({ next, closed }) => [next, closed])).to.deep.equal([
      [6, true],
      [4, false],
    ]);
    await append(wal, 1, 10);
    const after = await restarted();
    expect(await ids(after)).to.deep.equal([4, 5, 6, 7, 8, 9, 10]);
    expect(after.gaps(), 'the old end is not missed').to.deep.equal([]);
    expect(after.queuedReadings).to.equal(14);
  });

  it('moves gaps of a parted log too, and leaves what the cloud acknowledged', async () => {
    const wal = await open({ maxBytes: 3_200 });
    await append(wal, 60);
    const old = log(wal);
    const lost = wal.gaps()[0]?.gap.flushCount ?? 0;
    expect(lost).to.be.greaterThan(5);
    await wal.ack(old, [{ first: 55, count: 1 }]);
    await wal.reappend(old, 3);
    const gaps = wal.gaps().map(({ gap }) => [Buffer.from(gap.log).equals(old), gap.firstFlush, gap.flushCount]);
    expect(gaps).to.deep.equal([
      [true, 0, 3],
      [false, 0, lost - 3],
    ]);
    expect((await ids(wal)).length).to.equal(60 - lost - 1);
    expect(wal.openLog?.next).to.equal(60 - 3 - 1);
    expect(wal.acked(old).toString()).to.equal('[55]');
    const after = await restarted({ maxBytes: 3_200 });
    expect(after.gaps().map(({ gap }) => gap.flushCount)).to.deep.equal([3, lost - 3]);
  });

  it('knows where a parted log ends, whichever of store and mark lags behind', async () => {
    const wal = await open();
    await append(wal, 10);
    const old = log(wal);
    const mark = await readFile(join(directory.path, 'mark'));
    const early = store.restarted();
    await wal.reappend(old, 6);
    const lateMark = await readFile(join(directory.path, 'mark'));
    // Killed between the commit and the mark: the mark still has the old end.
    await writeFile(join(directory.path, 'mark'), mark);
    const behind = await restarted();
    expect([behind.gaps(), (await ids(behind)).length]).to.deep.equal([[], 10]);
    // The commit was lost to damage: what was moved may be in the cloud under its new numbers, and must not come back.
    await writeFile(join(directory.path, 'mark'), lateMark);
    store = early;
    const ahead = await restarted();
    expect(await ids(ahead)).to.deep.equal([0, 1, 2, 3, 4, 5]);
    expect(ahead.gaps().map(({ gap }) => [gap.firstFlush, gap.flushCount])).to.deep.equal([[0, 4]]);
  });

  it('closes the open log on request', async () => {
    const wal = await open();
    await append(wal, 1);
    const old = log(wal);
    await wal.startNewLog();
    expect(wal.openLog).to.equal(undefined);
    await append(wal, 1, 1);
    expect(log(wal)).not.to.deep.equal(old);
    expect(wal.logs().map(({ closed }) => closed)).to.deep.equal([true, false]);
  });

  it('refuses the log of another machine, empty flushes, and work after its end', async () => {
    const wal = await open();
    await append(wal, 1);
    const codeOf = (promise: Promise<unknown>) =>
      promise.then(
        () => 'none',
        (thrown) => (thrown instanceof WalFault ? thrown.code : thrown.constructor.name),
      );
    expect(await codeOf(wal.append([]))).to.equal('RangeError');
    expect(await codeOf(wal.addGap(Buffer.alloc(16), { first: 0, count: 1 }, 1))).to.equal('wal.unknown-log');
    await wal.stop();
    await wal.stop();
    expect(await codeOf(wal.append(readings(1)))).to.equal('wal.closed');
    expect(await codeOf(restarted({ machineId: Buffer.alloc(16, 8) }))).to.equal('wal.foreign');
    store = new MemoryStore();
    expect(await codeOf(open({ machineId: Buffer.alloc(16, 8) })), 'the mark knows it too').to.equal('wal.foreign');
    expect(clock.armed, 'no timer is left').to.equal(0);
  });

  it('tells what the mark knows and the store has lost', async () => {
    const wal = await open();
    await append(wal, 5);
    const id = log(wal);
    const early = store.restarted();
    await append(wal, 5, 5);
    const chain = await wal.chainAt(id, 9);
    store = early;
    const after = await open();
    expect(after.gaps().map(({ gap }) => [gap.firstFlush, gap.flushCount, gap.reason])).to.deep.equal([
      [5, 5, GapReason.STORE_DAMAGED],
    ]);
    expect(await ids(after)).to.deep.equal([0, 1, 2, 3, 4]);
    expect(after.logs()[0]).to.deep.include({ next: 10, closed: true });
    expect(await after.chainAt(id, 9)).to.deep.equal(chain);
  });
});
