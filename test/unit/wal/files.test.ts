// The small files beside the store: the mark and the reserve.
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Mark, MarkFile, MOST_MARKED_LOGS } from '../../../src/wal/mark-file.js';
import { Reserve } from '../../../src/wal/reserve.js';
import { seededRandom } from '../../support/seeded-random.js';
import { MACHINE, temporaryDirectory } from './support.js';

const SLOT = 16 * 1024;

const markAt = (next: number): Mark => ({
  machineId: MACHINE,
  entries: [
    { log: Buffer.alloc(16, 1), next: 7, chain: undefined, cut: true },
    { log: Buffer.alloc(16, 2), next, chain: Buffer.alloc(16, 3), cut: false },
  ],
});

describe('MarkFile', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let path: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    path = join(directory.path, 'mark');
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  const write = async (...nexts: number[]) => {
    const file = await MarkFile.open(path);
    for (const next of nexts) file.write(markAt(next));
    await file.stop();
  };
  const read = async () => {
    const file = await MarkFile.open(path);
    const { latest, unreadable } = file;
    await file.stop();
    return { latest, unreadable };
  };
  const change = async (at: number, bytes: Buffer) => {
    const file = await open(path, 'r+');
    await file.write(bytes, 0, bytes.length, at);
    await file.close();
  };

  it('is empty at first, has its full size at once, and keeps the latest mark', async () => {
    expect(await read()).to.deep.equal({ latest: undefined, unreadable: false });
    expect((await stat(path)).size).to.equal(2 * SLOT);
    for (let next = 1; next < 5; next++) {
      await write(next);
      expect((await read()).latest).to.deep.equal(markAt(next));
    }
    expect((await stat(path)).size).to.equal(2 * SLOT);
  });

  it('falls back to the mark before when the latest is torn, and overwrites the torn one', async () => {
    await write(1, 2, 3);
    // The first write goes to slot 1, so the third is there too.
    await change(SLOT + 50, Buffer.alloc(20, 0xff));
    expect((await read()).latest).to.deep.equal(markAt(2));
    await write(4);
    expect((await read()).latest).to.deep.equal(markAt(4));
    await change(SLOT + 50, Buffer.alloc(20, 0xff));
    expect((await read()).latest, 'the good slot was not the one overwritten').to.deep.equal(markAt(2));
  });

  it('says when nothing of it is readable', async () => {
    await write(1, 2);
    for (const at of [0, SLOT]) await change(at, Buffer.alloc(4, 0xff));
    expect(await read()).to.deep.equal({ latest: undefined, unreadable: true });
  });

  it('names the newest 256 logs', async () => {
    const file = await MarkFile.open(path);
    const entries = Array.from({ length: 300 }, (_, next) => ({
      log: Buffer.alloc(16),
      next,
      chain: undefined,
      cut: false,
    }));
    file.write({ machineId: MACHINE, entries });
    await file.stop();
    const found = (await read()).latest?.entries ?? [];
    expect([found.length, found[0]?.next]).to.deep.equal([MOST_MARKED_LOGS, 300 - MOST_MARKED_LOGS]);
  });
});

describe('Reserve', () => {
  it('takes real blocks, gives them back, and is found again', async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, 'reserve');
    const bytes = 300_000;
    const openReserve = () => Reserve.open(path, bytes, seededRandom(1));
    const reserve = await openReserve();
    expect(reserve.held).to.equal(true);
    const { size, blocks } = await stat(path);
    expect(size).to.equal(bytes);
    expect(blocks * 512).to.be.at.least(bytes);
    const { mtimeMs } = await stat(path);
    expect((await openReserve()).held).to.equal(true);
    expect((await stat(path)).mtimeMs, 'not written again').to.equal(mtimeMs);
    await reserve.release();
    expect(reserve.held).to.equal(false);
    expect(await stat(path).catch(() => 'gone')).to.equal('gone');
    expect(await reserve.restore()).to.equal(true);
  });

  it('is not there when the disk has no space for it', async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, 'reserve');
    const reserve = await Reserve.open(path, 2 ** 60, seededRandom(1));
    expect(reserve.held).to.equal(false);
    expect(await reserve.restore()).to.equal(false);
    expect(await stat(path).catch(() => 'none')).to.equal('none');
  });
});
