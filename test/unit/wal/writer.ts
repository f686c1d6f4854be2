// A process of its own that writes to a log, for tests that kill it or take its disk away. Arguments: what to do, the
// directory. Each flush reported durable is one line on standard output: id, log, flush.
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../src/kernel/clock.js';
import { Fault } from '../../../src/kernel/fault.js';
import type { Wal } from '../../../src/wal/wal.js';
import { openWal, readings } from './support.js';

const [what = '', directory = ''] = process.argv.slice(2);
const MANY = 100_000;

const tell = (line: string) => writeSync(1, `${line}\n`);

/** Appends until it fails; returns the code of the failure and the next id. */
async function write(wal: Wal, from: number, to: number): Promise<{ code: string; id: number }> {
  for (let id = from; id < to; id++) {
    try {
      const { log, flush } = await wal.append(readings(id, 20));
      tell(`${id} ${log.toString('hex')} ${flush}`);
    } catch (thrown) {
      return { code: thrown instanceof Fault ? thrown.code : String(thrown), id };
    }
  }
  return { code: '', id: to };
}

/** Takes all space there is, down to the last byte. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  for (const size of [1024 * 1024, 4_096, 1]) {
    const block = Buffer.alloc(size, 1);
    try {
      while (writeSync(file, block) > 0);
    } catch {
      // Full for this size.
    }
  }
  closeSync(file);
}

/** A full disk: appends fail, acknowledging works, and all is well again when there is space. */
async function diskFull(wal: Wal): Promise<void> {
  const ballast = join(directory, '..', 'ballast');
  let { id } = await write(wal, 0, 300);
  const log = wal.openLog?.log ?? Buffer.alloc(0);
  await wal.ack(log, [{ first: 0, count: 100 }]);
  fill(ballast);
  const failed = await write(wal, id, MANY);
  id = failed.id;
  tell(`failed ${failed.code}`);
  await wal.ack(log, [{ first: 100, count: 150 }]);
  tell(`acked ${wal.acked(log).size}`);
  rmSync(ballast);
  const again = await write(wal, id, id + 50);
  tell(`again ${again.code}`);
}

const wal = await openWal(directory, {
  clock: systemClock,
  reserveBytes: what === 'disk-full' ? 256 * 1024 : 4_096,
});
if (what === 'disk-full') await diskFull(wal);
else tell(`failed ${(await write(wal, 0, MANY)).code}`);
await wal.stop().catch((thrown) => tell(`stop ${thrown}`));
