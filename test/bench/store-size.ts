// How much stores take on the disk.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { compactLevel } from '../../src/storage/level-compact.js';

/** Bytes of the files of a folder, without those below it. */
export async function folderSize(directory: string): Promise<number> {
  const sizes = (await readdir(directory)).map(async (name) => (await stat(join(directory, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Bytes of a store that nobody has open, after LevelDB has put it in order. */
export async function compactedSize(directory: string): Promise<number> {
  await compactLevel(directory);
  return await folderSize(directory);
}
