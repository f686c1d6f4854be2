// One flipped bit, at a place that the seed chooses.
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface FlippedBit {
  readonly file: string;
  readonly byte: number;
  readonly bit: number;
}

/** Flips one bit of one of the files in `directory` whose name matches; undefined when all of them are empty. */
export async function flipBit(
  directory: string,
  names: RegExp,
  random: { uniform(): number },
): Promise<FlippedBit | undefined> {
  const files: { readonly name: string; readonly content: Buffer }[] = [];
  for (const name of (await readdir(directory)).sort()) {
    if (!names.test(name)) continue;
    const content = await readFile(join(directory, name));
    if (content.some((byte) => byte !== 0)) files.push({ name, content });
  }
  const chosen = files[Math.floor(random.uniform() * files.length)];
  if (!chosen) return undefined;
  // Behind the last byte that was written there is only what was preallocated.
  const end = chosen.content.findLastIndex((byte) => byte !== 0) + 1;
  const byte = Math.floor(random.uniform() * end);
  const bit = Math.floor(random.uniform() * 8);
  await using file = await open(join(directory, chosen.name), 'r+');
  await file.write(Buffer.of((chosen.content[byte] ?? 0) ^ (1 << bit)), 0, 1, byte);
  return { file: chosen.name, byte, bit };
}
