// Flipped bits in the real files: whatever was reported durable is there unchanged, or inside a gap, never just gone;
// and after a repair the log is as good as new.
import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { GapReason } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { LevelStore } from '../../../src/storage/level.js';
import { flushKey } from '../../../src/wal/records.js';
import { finishRepair } from '../../../src/wal/repair.js';
import type { Wal } from '../../../src/wal/wal.js';
import { FakeClock } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { idOf, inGaps, openWal, readAll, readings, temporaryDirectory } from './support.js';

interface Reported {
  readonly id: number;
  readonly log: string;
  readonly flush: number;
}

describe(`Wal with damaged files (seed ${testSeed})`, function () {
  this.timeout(14_000);
  const random = seededRandom(testSeed);
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let pristine: string;
  const reported: Reported[] = [];

  const append = async (wal: Wal, count: number) => {
    for (let i = 0; i < count; i++) {
      const id = reported.length;
      const { log, flush } = await wal.append(readings(id, 5));
      reported.push({ id, log: log.toString('hex'), flush });
    }
  };
  const open = (path: string) => openWal(path, { clock: new FakeClock() });

  before(async () => {
    directory = await temporaryDirectory();
    const live = join(directory.path, 'live');
    pristine = join(directory.path, 'pristine');
    const first = await open(live);
    await append(first, 120);
    await first.ack(first.openLog?.log ?? Buffer.alloc(0), [{ first: 0, count: 20 }]);
    await first.stop();
    // As a killed process leaves it: one log in a table, one in LevelDB's log.
    await using second = await open(live);
    await append(second, 80);
    await cp(live, pristine, { recursive: true });
  });
  after(() => directory[Symbol.asyncDispose]());

  /** Throws when a flush is neither here as it was, nor acknowledged, nor in a gap. Returns how many are here. */
  async function checkAll(wal: Wal): Promise<number> {
    const here = new Map<string, number>();
    for (const { log, flush } of await readAll(wal)) {
      expect(flush.readings).to.deep.equal(readings(idOf(flush), 5));
      here.set(`${log} ${flush.number}`, idOf(flush));
    }
    for (const { id, log, flush } of reported) {
      const name = Buffer.from(log, 'hex');
      const found = here.get(`${log} ${flush}`);
      if (found !== undefined) expect(found).to.equal(id);
      else if (!wal.acked(name).has(flush) && !inGaps(wal, name).has(flush))
        throw new Error(`flush ${flush} of ${log} is gone`);
    }
    return here.size;
  }

  async function damagedCopy(change: (path: string) => Promise<void>): Promise<string> {
    const path = join(directory.path, `copy-${Math.floor(random.uniform() * 1e12)}`);
    await cp(pristine, path, { recursive: true });
    await change(path);
    return path;
  }

  it('has everything as long as nothing is damaged', async () => {
    await using wal = await open(await damagedCopy(async () => {}));
    expect(await checkAll(wal)).to.equal(180);
    expect(wal.gaps()).to.deep.equal([]);
  });

  it('accounts for every flush after any flipped bit, and works on', async () => {
    const files = ['mark', ...(await readdir(join(pristine, 'store'))).map((name) => join('store', name))];
    let repairs = 0;
    for (const file of files) {
      const size = (await readFile(join(pristine, file))).length;
      for (let round = 0; round < 6 && size > 0; round++) {
        const bit = Math.floor(random.uniform() * size * 8);
        const path = await damagedCopy((copy) => flip(join(copy, file), bit));
        try {
          {
            await using wal = await open(path);
            await checkAll(wal);
            await wal.append(readings(1_000_000, 5));
          }
          await using wal = await open(path);
          await checkAll(wal);
          expect((await readAll(wal)).filter(({ flush }) => idOf(flush) === 1_000_000).length).to.equal(1);
          if ((await readdir(path)).some((name) => name.includes('damaged'))) repairs += 1;
        } catch (thrown) {
          throw new Error(`bit ${bit} of ${file}`, { cause: thrown });
        }
        await rm(path, { recursive: true });
      }
    }
    expect(repairs, 'some of these bits matter').to.be.greaterThan(3);
  });

  it('tells a lost end of the log by the mark', async () => {
    const path = await damagedCopy(async (copy) => {
      // Without the store's own mark only ours is left to tell.
      await writeFile(join(copy, 'store', 'COMMITTED'), '');
      const log = (await readdir(join(copy, 'store'))).find((name) => name.endsWith('.log')) ?? '';
      const bytes = await readFile(join(copy, 'store', log));
      await writeFile(join(copy, 'store', log), bytes.subarray(0, bytes.length / 2));
    });
    await using wal = await open(path);
    const here = await checkAll(wal);
    expect(here).to.be.within(100, 179);
    expect(wal.gaps().map(({ gap }) => [gap.reason, gap.flushCount])).to.deep.equal([
      [GapReason.STORE_DAMAGED, 180 - here],
    ]);
  });

  it('repairs a store that turns out to be damaged while it is used', async () => {
    const path = await damagedCopy(async () => {});
    const last = reported.at(-1);
    const victim = { log: Buffer.from(last?.log ?? '', 'hex'), flush: (last?.flush ?? 0) - 10 };
    let store: LevelStore | undefined;
    const openStore = async (directory: string) => {
      store = await LevelStore.open({ directory }, { log: silentLogger });
      return store;
    };
    await using wal = await openWal(path, { clock: new FakeClock(), openStore });
    let told = 0;
    wal.onGap(() => told++);
    await wal.append(readings(1_000_001, 5));
    // Behind the back of the log, as bad memory would.
    await store?.commit(() => [{ del: flushKey(victim.log, victim.flush) }]);
    const bounds = { maxReadings: 1e9, maxBytes: 1e9, until: 1e9 };
    const read = await wal.read(victim.log, victim.flush - 2, bounds);
    expect(read.map(({ number }) => number)).to.deep.equal([victim.flush - 2, victim.flush - 1]);
    expect(told).to.equal(1);
    expect(wal.gaps().map(({ gap }) => [gap.firstFlush, gap.flushCount])).to.deep.equal([[victim.flush, 1]]);
    expect(await checkAll(wal)).to.equal(180);
    expect((await wal.append(readings(1_000_002, 5))).flush, 'under a new log').to.equal(0);
  });

  it('ends a repair that was interrupted at any step', async () => {
    const half = await damagedCopy((copy) => cp(join(copy, 'store'), join(copy, 'store.new'), { recursive: true }));
    await finishRepair(join(half, 'store'));
    expect(await readdir(half)).not.to.include('store.new');
    const whole = await damagedCopy((copy) => rename(join(copy, 'store'), join(copy, 'store.new')));
    for (const path of [half, whole]) {
      await using wal = await open(path);
      expect(await checkAll(wal)).to.equal(180);
    }
  });
});

async function flip(path: string, bit: number): Promise<void> {
  const bytes = await readFile(path);
  const at = bit >>> 3;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
  await writeFile(path, bytes);
}
