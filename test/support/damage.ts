// One flipped bit, at a place that the seed chooses or behind something that can be found.
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
  await flip(join(directory, chosen.name), byte, bit);
  return { file: chosen.name, byte, bit };
}

/** Flips one bit `distance` bytes behind the last place at which `what` stands in one of the files. */
export async function flipBitBehind(
  directory: string,
  names: RegExp,
  what: Buffer,
  distance: number,
): Promise<FlippedBit | undefined> {
  for (const file of (await readdir(directory)).filter((name) => names.test(name))) {
    const found = (await readFile(join(directory, file))).lastIndexOf(what);
    if (found < 0) continue;
    const byte = found + what.length + distance;
    await flip(join(directory, file), byte, 0);
    return { file, byte, bit: 0 };
  }
  return undefined;
}

async function flip(path: string, byte: number, bit: number): Promise<void> {
  await using file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, byte);
  await file.write(Buffer.of((buffer[0] ?? 0) ^ (1 << bit)), 0, 1, byte);
}
