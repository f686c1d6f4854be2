// A process that writes to a LevelStore and says, line by line, what was acknowledged: for tests that kill it, or take
// its disk away. Arguments: directory, how many commits, bytes per value, commits in flight.
// Lines: "ok <key>" and "no <key> <code>"; "done" when it has stopped in order.
import { writeSync } from 'node:fs';
import { silentLogger } from '../../src/kernel/log.js';
import { LevelStore } from '../../src/storage/level.js';
import { StorageFault } from '../../src/storage/store.js';

const [directory = '', count = '0', valueBytes = '0', inFlight = '1'] = process.argv.slice(2);
const store = await LevelStore.open({ directory, maxFileSize: 1024 * 1024 }, { log: silentLogger });
const run = process.pid.toString(36);
let next = 0;

async function client(): Promise<void> {
  while (next < Number(count)) {
    const key = `${run}-${String(next++).padStart(6, '0')}`;
    try {
      await store.commit(() => [{ put: Buffer.from(key), value: Buffer.alloc(Number(valueBytes), key) }]);
      writeSync(1, `ok ${key}\n`);
    } catch (thrown) {
      writeSync(1, `no ${key} ${thrown instanceof StorageFault ? thrown.code : thrown}\n`);
    }
  }
}

await Promise.all(Array.from({ length: Number(inFlight) }, client));
await store.stop();
writeSync(1, 'done\n');
