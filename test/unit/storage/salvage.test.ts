// Setting a damaged store aside, reading what is good out of it, and copying that, or a running store, into a new one.
import { cp, mkdir, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { epochMs } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { type CopyProgress, copyEntries, copyStore } from '../../../src/storage/copy.js';
import { LevelStore } from '../../../src/storage/level.js';
import { MemoryStore } from '../../../src/storage/memory.js';
import { readSalvage, setAside } from '../../../src/storage/salvage.js';
import { ALL, collect, del, faultOf, put } from '../../contract/store-suite.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

const open = (directory: string, writeBufferSize = 64 * 1024) =>
  LevelStore.open({ directory, writeBufferSize }, { log: silentLogger });

describe(`salvage (seed ${testSeed})`, function () {
  this.timeout(20_000);
  const random = seededRandom(testSeed);
  let root: string;
  let original: string;
  const content = new Map<string, string>();
  /** Everything ever written, as key and value. */
  const history = new Set<string>();
  const sorted = () => [...content].sort();

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'store-salvage-'));
    original = join(root, 'original');
    const store = await open(original);
    for (let i = 0; i < 900; i++) {
      const [key, value] = [`key-${String(i % 400).padStart(4, '0')}`, random.bytes(200).toString('latin1')];
      // Every tenth key is deleted again, some of them while its value is in a table already.
      const deleted = i > 500 ? `key-${String(Math.floor(random.uniform() * 40) * 10).padStart(4, '0')}` : undefined;
      content.set(key, value);
      history.add(key + value);
      if (deleted) content.delete(deleted);
      await store.commit(() => (deleted ? [put(key, value), del(deleted)] : [put(key, value)]));
    }
    await store.stop();
    expect((await readdir(original)).filter((name) => name.endsWith('.ldb'))).to.not.have.length(0);
  });
  after(() => rm(root, { recursive: true }));

  it('reads all of a store that is not damaged, in order, and changes no file', async () => {
    const before = await snapshot(original);
    const salvage = readSalvage(original);
    expect(await collect(salvage)).to.deep.equal(sorted());
    expect(salvage.report).to.deep.equal({ entries: content.size, damaged: 0 });
    expect(await snapshot(original)).to.deep.equal(before);
  });

  it('reads all but what was hit, and never anything that was not there', async () => {
    for (const pattern of [/\.log$/, /\.ldb$/]) {
      for (let round = 0; round < 25; round++) {
        const copy = join(root, `hit-${pattern.source.slice(2, 5)}-${round}`);
        await cp(original, copy, { recursive: true });
        const names = (await readdir(copy)).filter((name) => pattern.test(name));
        const file = join(copy, names[round % names.length] ?? '');
        const bytes = await readFile(file);
        // Not the index or footer of a table, which is the next test.
        const at = Math.floor(random.uniform() * bytes.length * 0.8);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random.uniform() * 8));
        await writeFile(file, bytes);
        const salvage = readSalvage(copy);
        const found = await collect(salvage);
        const why = `${basename(file)} byte ${at}`;
        expect(
          found.map(([key]) => key),
          why,
        ).to.deep.equal(found.map(([key]) => key).sort());
        expect(
          found.filter(([key, value]) => !history.has(key + value)),
          why,
        ).to.deep.equal([]);
        const outdated = found.filter(([key, value]) => content.has(key) && content.get(key) !== value);
        // A lost overwrite or deletion brings the value before it back: at most those of one stretch.
        expect(outdated.length, why).to.be.at.most(20);
        const keys = new Set(found.map(([key]) => key));
        expect([...content.keys()].filter((key) => !keys.has(key)).length, why).to.be.at.most(20);
        await rm(copy, { recursive: true });
      }
    }
  });

  it('goes on without tables that cannot be read at all, and without CURRENT and MANIFEST', async () => {
    const copy = join(root, 'ruin');
    await cp(original, copy, { recursive: true });
    for (const name of await readdir(copy)) if (/^(CURRENT|MANIFEST)/.test(name)) await unlink(join(copy, name));
    const whole = readSalvage(copy);
    expect(await collect(whole)).to.deep.equal(sorted());
    const [table = ''] = (await readdir(copy)).filter((name) => name.endsWith('.ldb'));
    await writeFile(join(copy, table), (await readFile(join(copy, table))).subarray(0, -1));
    const rest = readSalvage(copy);
    expect((await collect(rest)).length).to.be.greaterThan(0);
    expect(rest.report.damaged).to.equal(1);
    expect(await faultOf(collect(readSalvage(join(root, 'nothing'))))).to.equal('storage.unusable');
  });

  it('fills a new store, beside the old one set aside', async () => {
    const directory = join(root, 'store');
    await cp(original, directory, { recursive: true });
    const now = epochMs(Date.UTC(2026, 1, 3, 4, 5, 6, 789));
    const aside = await setAside(directory, now);
    expect(aside).to.equal(`${directory}.damaged-20260203T040506Z`);
    const store = await open(directory);
    const copied = await copyEntries(readSalvage(aside), store);
    expect(copied.entries).to.equal(content.size);
    expect(await collect(store.entries(ALL))).to.deep.equal(sorted());
    await store.stop();
    expect(await setAside(directory, now), 'a second one').to.equal(`${aside}-2`);
    expect((await readdir(dirname(directory))).filter((name) => name.startsWith('store'))).to.have.length(2);
  });
});

describe('copyStore', () => {
  it('copies one moment of a store that is written to', async () => {
    const [from, to] = [new MemoryStore(), new MemoryStore()];
    const large = Buffer.alloc(1024 * 1024, 1);
    for (let i = 0; i < 9; i++) await from.commit(() => [{ put: Buffer.from(`k${i}`), value: large }]);
    const progress: CopyProgress[] = [];
    let touched: Promise<void> | undefined;
    const copied = await copyStore(from, to, (so) => {
      progress.push(so);
      touched ??= from.commit(() => [del('k8'), put('late', '')]);
    });
    await touched;
    expect((await collect(to.entries(ALL))).map(([key]) => key).join()).to.equal('k0,k1,k2,k3,k4,k5,k6,k7,k8');
    expect(progress.map(({ entries }) => entries)).to.deep.equal([4, 8, 9]);
    expect(copied).to.deep.equal({ entries: 9, bytes: 9 * (large.length + 2) });
    expect(to.writes).to.equal(3);
    for (const store of [from, to]) await store.stop();
  });

  it('fails with what fails, on either side', async () => {
    const [from, to] = [new MemoryStore(), new MemoryStore()];
    await from.commit(() => [put('a', '1')]);
    to.failNextWrite();
    expect(await faultOf(copyStore(from, to))).to.equal('storage.write-failed');
    await from.stop();
    expect(await faultOf(copyStore(from, to))).to.equal('storage.closed');
    await to.stop();
  });

  it('makes a backup of the real store that opens as one', async () => {
    const root = await mkdtemp(join(tmpdir(), 'store-copy-'));
    await mkdir(join(root, 'from'));
    const [from, to] = [await open(join(root, 'from')), await open(join(root, 'to'))];
    await from.commit(() => Array.from({ length: 2_000 }, (_, i) => put(`k${i}`, `v${i}`)));
    await copyStore(from, to);
    await to.stop();
    const again = await open(join(root, 'to'));
    expect(await collect(again.entries(ALL))).to.deep.equal(await collect(from.entries(ALL)));
    for (const store of [from, again]) await store.stop();
    await rm(root, { recursive: true });
  });
});

async function snapshot(directory: string): Promise<[string, string][]> {
  const names = (await readdir(directory)).sort();
  return Promise.all(names.map(async (name) => [name, (await readFile(join(directory, name))).toString('base64')]));
}
