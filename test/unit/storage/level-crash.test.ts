// The embedded store in a process of its own that is killed, or whose files may not grow: what was acknowledged is there
// afterwards, and what was refused is not.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { silentLogger } from '../../../src/kernel/log.js';
import { LevelStore } from '../../../src/storage/level.js';
import { ALL, collect } from '../../contract/store-suite.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

const WRITER = fileURLToPath(new URL('../../support/store-writer.ts', import.meta.url));

interface Outcome {
  readonly acknowledged: string[];
  readonly refused: string[];
  done: boolean;
}

/** Runs the writer; `onLine` may kill it. */
async function write(
  args: readonly string[],
  shell: string,
  onLine: (child: ChildProcess, line: string) => void,
): Promise<Outcome> {
  const command = `${shell} exec "$0" --import tsx "$@"`;
  const child = spawn('bash', ['-c', command, process.execPath, WRITER, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
  });
  const ended = once(child, 'close');
  const outcome: Outcome = { acknowledged: [], refused: [], done: false };
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, key] = line.split(' ');
    if (what === 'ok' && key) outcome.acknowledged.push(key);
    else if (what === 'no' && line.endsWith(' storage.write-failed') && key) outcome.refused.push(key);
    else if (what === 'done') outcome.done = true;
    else throw new Error(`unexpected line ${line}`);
    onLine(child, line);
  }
  await ended;
  return outcome;
}

async function contents(directory: string, valueBytes: number): Promise<Set<string>> {
  const store = await LevelStore.open({ directory }, { log: silentLogger });
  const entries = await collect(store.entries(ALL));
  await store.stop();
  for (const [key, value] of entries) expect(value).to.equal(Buffer.alloc(valueBytes, key).toString('latin1'));
  return new Set(entries.map(([key]) => key));
}

describe('the embedded store', () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'store-crash-'));
  });
  after(() => rm(root, { recursive: true }));

  it(`keeps every acknowledged commit when its process is killed, again and again (seed ${testSeed})`, async function () {
    this.timeout(20_000);
    const random = seededRandom(testSeed);
    const directory = join(root, 'killed');
    const acknowledged = new Set<string>();
    for (let round = 0; round < 4; round++) {
      let left = 20 + Math.floor(random.uniform() * 2_000);
      const outcome = await write([directory, '1000000', '700', '8'], '', (child) => {
        if (left-- === 0) child.kill('SIGKILL');
      });
      expect(outcome.done).to.equal(false);
      expect(outcome.refused).to.deep.equal([]);
      for (const key of outcome.acknowledged) acknowledged.add(key);
      const found = await contents(directory, 700);
      expect([...acknowledged].filter((key) => !found.has(key))).to.deep.equal([]);
      // At most one group of what was in flight when it died may be there besides.
      expect(found.size - acknowledged.size).to.be.within(0, 8 * (round + 1));
    }
  });

  it('refuses what does not fit on the disk, loses nothing acknowledged, and goes on by itself', async function () {
    this.timeout(20_000);
    const directory = join(root, 'full');
    // Files may grow to 1.5 MiB: the log runs into that again and again, as it would into the end of a disk; each time
    // reopening makes room.
    const outcome = await write([directory, '4000', '1000', '1'], 'ulimit -S -f 1536;', () => undefined);
    expect(outcome.done).to.equal(true);
    expect(outcome.refused).to.have.length(2);
    await compare(directory, outcome, 4_000);
  });

  it('goes on refusing while the disk is full, and takes up again when there is space', async function () {
    this.timeout(20_000);
    const directory = join(root, 'fuller');
    // With groups of four the table that reopening makes of the log does not fit either.
    let refused = 0;
    const outcome = await write([directory, '3000', '1000', '4'], 'ulimit -S -f 1536;', (child, line) => {
      if (line.startsWith('no') && ++refused === 50) {
        execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited']);
      }
    });
    expect(outcome.done).to.equal(true);
    expect(outcome.refused).to.have.length.within(50, 1_000);
    await compare(directory, outcome, 3_000);
  });

  async function compare(directory: string, outcome: Outcome, count: number): Promise<void> {
    expect(outcome.acknowledged.length + outcome.refused.length).to.equal(count);
    const found = await contents(directory, 1_000);
    const lost = outcome.acknowledged.filter((key) => !found.has(key));
    const uninvited = outcome.refused.filter((key) => found.has(key));
    expect({ lost, uninvited }).to.deep.equal({ lost: [], uninvited: [] });
  }

  it('opens after a copy of its files taken while it ran, with half a record at the end', async () => {
    const directory = join(root, 'running');
    const store = await LevelStore.open({ directory }, { log: silentLogger });
    for (let i = 0; i < 50; i++) {
      await store.commit(() => [{ put: Buffer.from(`k${i}`), value: Buffer.alloc(100, `k${i}`) }]);
    }
    const copy = join(root, 'copy');
    await cp(directory, copy, { recursive: true });
    await store.stop();
    for (const name of await readdir(copy)) {
      if (name.endsWith('.log')) await appendFile(join(copy, name), Buffer.from('01020304ff0001aabbcc', 'hex'));
    }
    expect((await contents(copy, 100)).size).to.equal(50);
  });
});
