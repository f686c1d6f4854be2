// What a running process holds in memory, searched for texts (Linux): what a core file would show.
import { open, readFile } from 'node:fs/promises';

const CHUNK = 8 << 20;

/** Those of the needles that are somewhere in memory that the process can write to. */
export async function scanMemory(pid: number, needles: ReadonlyMap<string, readonly Buffer[]>): Promise<Set<string>> {
  const found = new Set<string>();
  const longest = Math.max(...[...needles.values()].flat().map(({ length }) => length));
  await using memory = await open(`/proc/${pid}/mem`, 'r');
  const buffer = Buffer.alloc(CHUNK + longest);
  for (const line of (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n')) {
    const [, from, until] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    if (from === undefined || until === undefined) continue;
    const end = Number.parseInt(until, 16);
    for (let at = Number.parseInt(from, 16); at < end; at += CHUNK) {
      // Regions come and go while they are read.
      const length = Math.min(buffer.length, end - at);
      const { bytesRead } = await memory.read(buffer, 0, length, at).catch(() => ({ bytesRead: 0 }));
      const bytes = buffer.subarray(0, bytesRead);
      for (const [name, forms] of needles) if (forms.some((form) => bytes.includes(form))) found.add(name);
    }
  }
  return found;
}
