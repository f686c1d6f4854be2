// How much stores take on the disk.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { newLevel } from '../../src/storage/level-open.js';

/** Bytes of the files of a folder, without those below it. */
export async function folderSize(directory: string): Promise<number> {
  const sizes = (await readdir(directory)).map(async (name) => (await stat(join(directory, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Bytes of a store that nobody has open, after LevelDB has put it in order. */
export async function compactedSize(directory: string): Promise<number> {
  const level = newLevel({ directory });
  await level.open();
  await level.compactRange(Buffer.alloc(0), Buffer.alloc(64, 0xff));
  await level.close();
  return await folderSize(directory);
}
