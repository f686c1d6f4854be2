// The generation of the last Welcome, on disk: 16 bytes, magic "occ-gen1" and the number (u64, big-endian), replaced
// atomically. It is written before anything is sent in the session that brought it; see link.v1 Welcome.generation.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from '../kernel/durable-file.js';

const MAGIC = 'occ-gen1';

/** 0 when the hub never had a session, or the file is damaged: the cloud then sees an older generation and asks. */
export async function readGeneration(directory: string): Promise<number> {
  const bytes = await readFile(pathIn(directory)).catch(() => Buffer.alloc(0));
  if (bytes.length !== 16 || bytes.toString('latin1', 0, 8) !== MAGIC) return 0;
  return Number(bytes.readBigUInt64BE(8));
}

export async function writeGeneration(directory: string, generation: number): Promise<void> {
  const bytes = Buffer.alloc(16);
  bytes.write(MAGIC, 'latin1');
  bytes.writeBigUInt64BE(BigInt(generation), 8);
  await writeFileDurably(pathIn(directory), bytes, 0o600);
}

const pathIn = (directory: string): string => join(directory, 'generation');
