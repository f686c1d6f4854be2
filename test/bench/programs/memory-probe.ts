// Loaded before a role (`node --import`), so that it can be asked from outside how much memory it needs: at SIGUSR2 it
// collects what is garbage and writes process.memoryUsage() to the file named by BENCH_MEMORY. Nothing of this is in the
// program itself.
import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const file = process.env.BENCH_MEMORY ?? '';

process.on('SIGUSR2', () => {
  collect();
  // What finalizers let go of is only free after a second time.
  setImmediate(() => {
    collect();
    writeFileSync(`${file}.tmp`, JSON.stringify(process.memoryUsage()));
    renameSync(`${file}.tmp`, file);
  });
});
