// The log over the real store in a process of its own: killed at any moment, with files that may not grow, and on a
// full disk. What the process reported durable is compared with what is found afterwards.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { FakeClock } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { idOf, openWal, readAll, readings, temporaryDirectory } from './support.js';

const WRITER = [process.execPath, '--import', 'tsx', join(import.meta.dirname, 'writer.ts')];

/** Lines that the writer says, until it ends; `onLine` may kill it. */
async function run(command: readonly string[], onLine: (count: number, child: ChildProcess) => void = () => {}) {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    onLine(lines.length, child);
  }
  await ended;
  return lines;
}

const reportedIds = (lines: readonly string[]) =>
  lines.filter((line) => /^\d+ [0-9a-f]{32} \d+$/.test(line)).map((line) => Number(line.split(' ')[0]));

/** Opens what the writer left and returns the ids that wait, by log and flush. */
async function found(directory: string): Promise<{ ids: number[]; gaps: number; acked: number }> {
  await using wal = await openWal(directory, { clock: new FakeClock() });
  const acked = wal.logs().reduce((sum, { acked }) => sum + acked.reduce((n, { count }) => n + count, 0), 0);
  return { ids: (await readAll(wal)).map(({ flush }) => idOf(flush)), gaps: wal.gaps().length, acked };
}

describe(`Wal in a process of its own (seed ${testSeed})`, function () {
  this.timeout(14_000);
  const random = seededRandom(testSeed);

  it('has everything that was reported durable after kill -9, in order and once', async () => {
    for (let round = 0; round < 4; round++) {
      await using directory = await temporaryDirectory();
      const lastLine = 1 + Math.floor(random.uniform() * 400);
      const lines = await run([...WRITER, 'write', directory.path], (count, child) => {
        if (count === lastLine) child.kill('SIGKILL');
      });
      const reported = reportedIds(lines);
      expect(reported.length).to.be.at.least(lastLine);
      const { ids, gaps } = await found(directory.path);
      expect(ids.slice(0, reported.length)).to.deep.equal(reported);
      // One more may have been written and not yet reported.
      expect(ids.length - reported.length).to.be.within(0, 1);
      expect(gaps).to.equal(0);
    }
  });

  it('fails cleanly when its files may not grow, and loses nothing', async () => {
    await using directory = await temporaryDirectory();
    const limited = ['/bin/sh', '-c', 'ulimit -f 400 && exec "$@"', 'sh', ...WRITER, 'write', directory.path];
    const lines = await run(limited);
    const reported = reportedIds(lines);
    expect(reported.length).to.be.greaterThan(100);
    expect(lines).to.include('failed wal.write-failed');
    const { ids, gaps } = await found(directory.path);
    expect(ids).to.deep.equal(reported);
    expect(gaps).to.equal(0);
    await using wal = await openWal(directory.path, { clock: new FakeClock() });
    expect((await wal.append(readings(0))).flush, 'works again').to.equal(0);
  });

  it('can be drained while the disk is full, and goes on when there is space', async function () {
    await using directory = await temporaryDirectory();
    const unshare = ['unshare', '--user', '--map-root-user', '--mount'];
    const mounts = spawnSync('unshare', [...unshare.slice(1), 'mount', '-t', 'tmpfs', 'none', directory.path]);
    // Without user namespaces there is no small disk to be had.
    if (mounts.status !== 0) return this.skip();
    const script = `mount -t tmpfs -o size=12m none "$0" && mkdir "$0/log" && "$@" && cp -r "$0/log" "$0.kept"`;
    const disk = directory.path;
    const lines = await run([...unshare, '/bin/sh', '-c', script, disk, ...WRITER, 'disk-full', join(disk, 'log')]);
    const reported = reportedIds(lines);
    expect(lines).to.include('failed wal.write-failed');
    expect(lines).to.include('acked 250');
    expect(lines.at(-1)).to.equal('again ');
    await using kept = { path: `${disk}.kept`, [Symbol.asyncDispose]: () => rm(`${disk}.kept`, { recursive: true }) };
    const { ids, gaps, acked } = await found(kept.path);
    expect([acked, gaps]).to.deep.equal([250, 0]);
    expect(ids).to.deep.equal(reported.slice(250));
  });
});
