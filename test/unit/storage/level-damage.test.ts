// The embedded store with changed bits on disk: everything is right, or it says that it is damaged. Never is something
// missing in silence. The control shows that LevelDB alone does exactly that.
import { cp, mkdtemp, readdir, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ClassicLevel } from 'classic-level';
import { silentLogger } from '../../../src/kernel/log.js';
import { numberKey } from '../../../src/storage/commit-numbers.js';
import { LevelStore, type LevelStoreOptions } from '../../../src/storage/level.js';
import { StorageFault } from '../../../src/storage/store.js';
import { ALL, collect, faultOf } from '../../contract/store-suite.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

type Content = Map<string, string>;
type Outcome = 'right' | 'damaged' | 'wrong';

const open = (directory: string, options: Partial<LevelStoreOptions> = {}) =>
  LevelStore.open({ directory, ...options }, { log: silentLogger });

const openAndStop = async (directory: string): Promise<void> => (await open(directory)).stop();

/** Opens and reads everything in both ways. */
async function outcomeOf(
  directory: string,
  expected: Content,
  options: Partial<LevelStoreOptions> = {},
): Promise<Outcome> {
  let store: LevelStore | undefined;
  try {
    store = await open(directory, options);
    for (const [key, value] of expected) {
      if ((await store.get(Buffer.from(key)))?.toString('latin1') !== value) return 'wrong';
    }
    const found = await collect(store.entries(ALL));
    return JSON.stringify(found) === JSON.stringify([...expected].sort()) ? 'right' : 'wrong';
  } catch (thrown) {
    if (thrown instanceof StorageFault && thrown.code === 'storage.damaged') return 'damaged';
    throw thrown;
  } finally {
    await store?.stop();
  }
}

async function flip(file: string, bit: number): Promise<void> {
  const bytes = await readFile(file);
  const at = Math.floor(bit / 8);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
  await writeFile(file, bytes);
}

/** Where in a table the current value of some key is. */
async function placeOfSomeValue(directory: string, content: Content) {
  for (const file of await readdir(directory)) {
    if (!file.endsWith('.ldb')) continue;
    const table = await readFile(join(directory, file));
    for (const [key, value] of content) {
      const at = table.indexOf(value, 0, 'latin1');
      if (at >= 0) return { file, key, at };
    }
  }
  throw new Error('no value is in a table');
}

describe(`the embedded store with damaged files (seed ${testSeed})`, function () {
  this.timeout(20_000);
  const random = seededRandom(testSeed);
  let root: string;
  let copies = 0;
  const copyOf = async (directory: string): Promise<string> => {
    const copy = join(root, `copy-${copies++}`);
    await cp(directory, copy, { recursive: true });
    return copy;
  };
  const filesOf = async (directory: string, pattern: RegExp) =>
    (await readdir(directory)).filter((name) => pattern.test(name));
  const fill = async (directory: string, options: Partial<LevelStoreOptions>, commits: number): Promise<Content> => {
    const store = await open(directory, options);
    const content: Content = new Map();
    for (let i = 0; i < commits; i++) {
      const [key, value] = [`key-${String(i % 400).padStart(4, '0')}`, random.bytes(200).toString('latin1')];
      content.set(key, value);
      await store.commit(() => [{ put: Buffer.from(key), value: Buffer.from(value, 'latin1') }]);
    }
    await store.stop();
    return content;
  };
  const outcomes = async (directory: string, content: Content, pattern: RegExp, count: number, options = {}) => {
    const tally = { right: 0, damaged: 0, wrong: 0 };
    const names = await filesOf(directory, pattern);
    expect(names, String(pattern)).to.not.have.length(0);
    for (let i = 0; i < count; i++) {
      const name = names[i % names.length] ?? '';
      const bit = Math.floor(random.uniform() * (await readFile(join(directory, name))).length * 8);
      const copy = await copyOf(directory);
      await flip(join(copy, name), bit);
      const outcome = await outcomeOf(copy, content, options);
      tally[outcome]++;
      expect(outcome, `${name} bit ${bit}`).to.not.equal('wrong');
      await rm(copy, { recursive: true });
    }
    return tally;
  };

  /** Data only in a log; and data in several tables and a log. */
  let logged: { directory: string; content: Content };
  let tabled: { directory: string; content: Content };
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'store-damage-'));
    logged = { directory: join(root, 'logged'), content: await fill(join(root, 'logged'), {}, 300) };
    const small = { writeBufferSize: 64 * 1024 };
    tabled = { directory: join(root, 'tabled'), content: await fill(join(root, 'tabled'), small, 900) };
  });
  after(() => rm(root, { recursive: true }));

  it('finds nothing wrong with files that are not', async () => {
    expect(await outcomeOf(await copyOf(logged.directory), logged.content)).to.equal('right');
    expect(await outcomeOf(await copyOf(tabled.directory), tabled.content)).to.equal('right');
  });

  it('finds a changed bit in the log', async () => {
    const tally = await outcomes(logged.directory, logged.content, /\.log$/, 60);
    expect(tally.damaged).to.be.greaterThan(55);
  });

  it('finds a changed bit in a table', async () => {
    const tally = await outcomes(tabled.directory, tabled.content, /\.ldb$/, 60);
    expect(tally.damaged).to.be.greaterThan(40);
  });

  it('finds, or survives, a changed bit in any other file', async () => {
    await outcomes(tabled.directory, tabled.content, /^(MANIFEST|CURRENT|COMMITTED)/, 40);
  });

  it('control: LevelDB alone loses commits in silence', async () => {
    const directory = join(root, 'plain');
    const plain = new ClassicLevel(directory);
    for (let i = 0; i < 300; i++) await plain.put(`key-${i}`, 'x'.repeat(200), { sync: true });
    await plain.close();
    const [name = ''] = await filesOf(directory, /\.log$/);
    const copy = await copyOf(directory);
    await flip(join(copy, name), 8 * 10_000);
    const damaged = new ClassicLevel(copy);
    const left = await damaged.keys().all();
    await damaged.close();
    expect(left.length).to.be.lessThan(290);
  });

  describe('each proof by itself:', () => {
    const raw = async (directory: string, ops: { type: 'del'; key: Buffer }[]) => {
      const level = new ClassicLevel<Buffer, Buffer>(directory, { keyEncoding: 'buffer', compression: false });
      await level.batch(ops);
      await level.close();
    };
    const gone = (...numbers: number[]) =>
      numbers.flatMap((n) => [
        { type: 'del' as const, key: numberKey(n) },
        { type: 'del' as const, key: Buffer.from(`key-${String(n - 1).padStart(4, '0')}`) },
      ]);

    it('a commit missing in the middle leaves a hole in the numbers', async () => {
      const copy = await copyOf(logged.directory);
      await raw(copy, gone(150));
      await unlink(join(copy, 'COMMITTED'));
      expect(await faultOf(openAndStop(copy))).to.equal('storage.damaged');
      expect(await faultOf(openAndStop(copy)), 'still').to.equal('storage.damaged');
    });

    it('commits missing at the end are below the mark', async () => {
      const copy = await copyOf(logged.directory);
      await raw(copy, gone(299, 300));
      expect(await faultOf(openAndStop(copy))).to.equal('storage.damaged');
      await unlink(join(copy, 'COMMITTED'));
      expect(await faultOf(openAndStop(copy)), 'without the mark').to.equal('resolved');
    });

    it('one unreadable slot of the mark is not damage, and the other still counts', async () => {
      const copy = await copyOf(logged.directory);
      await flip(join(copy, 'COMMITTED'), 8 * 512);
      expect(await outcomeOf(copy, logged.content)).to.equal('right');
      await raw(copy, gone(297, 298, 299, 300));
      await flip(join(copy, 'COMMITTED'), 8 * 512);
      expect(await faultOf(openAndStop(copy))).to.equal('storage.damaged');
    });

    it('a changed value is found when it is read, even when tables are not checked', async () => {
      const copy = await copyOf(tabled.directory);
      const place = await placeOfSomeValue(copy, tabled.content);
      await flip(join(copy, place.file), 8 * (place.at + 100));
      const store = await open(copy, { checkTables: false });
      const read = [await faultOf(store.get(Buffer.from(place.key))), await faultOf(collect(store.entries(ALL)))];
      await store.stop();
      expect(read).to.deep.equal(['storage.damaged', 'storage.damaged']);
      expect(await faultOf(openAndStop(copy)), 'checked').to.equal('storage.damaged');
    });

    it('a store without its CURRENT, MANIFEST or a table is damaged, not new', async () => {
      for (const pattern of [/^CURRENT$/, /^MANIFEST/, /\.ldb$/]) {
        const copy = await copyOf(tabled.directory);
        for (const name of await filesOf(copy, pattern)) await unlink(join(copy, name));
        expect(await faultOf(openAndStop(copy)), String(pattern)).to.equal('storage.damaged');
        if (pattern.source !== '\\.ldb$') expect(await filesOf(copy, /\.ldb$/)).to.not.have.length(0);
      }
    });

    it('a log cut short below the mark is damaged', async () => {
      const copy = await copyOf(logged.directory);
      const [name = ''] = await filesOf(copy, /\.log$/);
      await truncate(join(copy, name), 20_000);
      expect(await faultOf(openAndStop(copy))).to.equal('storage.damaged');
    });
  });

  it('says that it is in use, or cannot be used, instead', async () => {
    const copy = await copyOf(logged.directory);
    const first = await open(copy);
    const second = await open(copy).catch((thrown) => thrown);
    expect(second).to.be.instanceOf(StorageFault).with.property('code', 'storage.in-use');
    expect(second.advice).to.match(/other process/);
    await first.commit(() => [{ put: Buffer.from('a'), value: Buffer.from('b') }]);
    await first.stop();
    expect(await faultOf(openAndStop(join(copy, 'CURRENT')))).to.equal('storage.unusable');
    expect(await faultOf(openAndStop(join(copy, 'CURRENT', 'below')))).to.equal('storage.unusable');
  });
});
