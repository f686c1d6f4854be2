// Folders for what is nobody else's business.
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from './system-error.js';

/**
 * Makes it where it is missing, with all that is missing above it, for its owner only. Node's own `recursive` never ends where
 * the system lets nobody make a directory in one that is there (/proc). Rejects with the system's error.
 */
export async function makePrivateDirectory(directory: string): Promise<void> {
  const make = () =>
    mkdir(directory, { mode: 0o700 }).catch((thrown) => {
      if (systemCode(thrown) !== 'EEXIST') throw thrown;
    });
  const parent = dirname(directory);
  await make().catch(async (thrown) => {
    if (systemCode(thrown) !== 'ENOENT' || parent === directory) throw thrown;
    await makePrivateDirectory(parent);
    await make();
  });
  if (!(await stat(directory)).isDirectory()) throw new Error(`${directory} is not a directory`);
}
