// What can be done with a damaged store: set it aside as it is, and read what is still good out of it.
//
// The files are read here and not by LevelDB, whose own repair changes the store that it reads, and which can end the
// process on changed bytes. Nothing is written: a store that was set aside stays as it was found.
import { type FileHandle, open, readdir, readFile, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type EpochMs, fileTime } from '../kernel/duration.js';
import { tryUnframe } from './checksum.js';
import { parseFileName } from './level-format.js';
import { batchOps, logPayloads } from './level-log.js';
import { openFault } from './level-open.js';
import { tableEntries } from './level-table.js';
import type { Entry } from './store.js';

/**
 * Renames the directory of a store that is not open to `<directory>.damaged-<time>` and returns that name. Throws what
 * the file system says.
 */
export async function setAside(directory: string, now: EpochMs): Promise<string> {
  const time = fileTime(now);
  const parent = dirname(directory);
  const taken = new Set(await readdir(parent));
  let name = `${basename(directory)}.damaged-${time}`;
  for (let n = 2; taken.has(name); n++) name = `${basename(directory)}.damaged-${time}-${n}`;
  await rename(directory, join(parent, name));
  // Windows cannot open a directory, and does not need to.
  const handle = await open(parent, 'r').catch(() => undefined);
  await handle?.sync();
  await handle?.close();
  return join(parent, name);
}

export interface SalvageReport {
  /** Entries handed out so far. */
  readonly entries: number;
  /** Entries whose checksum is wrong, and stretches and files that could not be read at all. */
  readonly damaged: number;
}

/** Iterates over what is good; afterwards the report says how much that was. */
export interface Salvage extends AsyncIterable<Entry> {
  readonly report: SalvageReport;
}

/** The latest of what the files say about a key. */
interface Finding {
  readonly sequence: number;
  /** Undefined when the key was deleted, or its latest value is damaged: an older one must not come back. */
  readonly framed: Buffer | Place | undefined;
}

/** A value in a table, to be read again later. */
interface Place {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

type Found = { readonly key: Buffer; readonly value: Buffer | undefined; readonly sequence: number };

const MAX_HANDLES = 64;

/**
 * The entries of a store that is not open, in key order, as far as their checksums hold. What was deleted comes back
 * only if the record of its deletion was lost. Keeps all keys in memory, of the values only those of the log. Iterating
 * faults with storage.unusable when the directory cannot be read; a file that cannot be is counted.
 */
export function readSalvage(directory: string): Salvage {
  const report = { entries: 0, damaged: 0 };
  return { report, [Symbol.asyncIterator]: () => goodEntries(directory, report) };
}

async function* goodEntries(directory: string, report: { entries: number; damaged: number }): AsyncGenerator<Entry> {
  const survey = new Survey();
  const names = await readdir(directory).catch((thrown) => {
    throw openFault(directory, thrown);
  });
  for (const name of names) await survey.add(join(directory, name));
  report.damaged += survey.damaged;
  const tables = new Tables();
  try {
    for (const text of [...survey.findings.keys()].sort()) {
      const framed = survey.findings.get(text)?.framed;
      if (!framed) continue;
      const key = Buffer.from(text, 'latin1');
      const value = tryUnframe(key, Buffer.isBuffer(framed) ? framed : await tables.read(framed));
      if (value) report.entries++;
      else report.damaged++;
      if (value) yield { key, value };
    }
  } finally {
    await tables.close();
  }
}

/** Goes through all files once and notes where the latest value of each key is. */
class Survey {
  /** By key, as latin1. */
  readonly findings = new Map<string, Finding>();
  damaged = 0;

  async add(file: string): Promise<void> {
    const kind = parseFileName(basename(file))?.kind;
    if (!kind) return;
    const bytes = await readFile(file).catch(() => undefined);
    if (!bytes) this.damaged++;
    else if (kind === 'log') this.#addLog(bytes);
    else this.#addTable(file, bytes);
  }

  #addLog(log: Buffer): void {
    for (const { payload, afterDamage } of logPayloads(log)) {
      if (afterDamage) this.damaged++;
      try {
        for (const op of batchOps(payload)) this.#note(op, (value) => value);
      } catch {
        this.damaged++;
      }
    }
  }

  #addTable(file: string, table: Buffer): void {
    for (const entry of tableEntries(table)) {
      if (!entry) this.damaged++;
      else {
        const place = (value: Buffer) => ({
          file,
          offset: value.byteOffset - table.byteOffset,
          length: value.length,
        });
        this.#note(entry, place);
      }
    }
  }

  #note({ key, value, sequence }: Found, keep: (value: Buffer) => Buffer | Place): void {
    // Commit numbers say nothing about a store that is known to be incomplete.
    if (key[0] === 0) return;
    const text = key.toString('latin1');
    const good = value && tryUnframe(key, value) !== undefined;
    if (value && !good) this.damaged++;
    const known = this.findings.get(text);
    if (known && known.sequence >= sequence) return;
    this.findings.set(text, { sequence, framed: value && good ? keep(value) : undefined });
  }
}

/** Reads single values out of tables; keeps a limited number of files open. */
class Tables {
  readonly #handles = new Map<string, FileHandle>();

  /** The bytes of a value; none when they cannot be read, which no checksum takes for a value. */
  async read({ file, offset, length }: Place): Promise<Buffer> {
    try {
      let handle = this.#handles.get(file);
      if (!handle) {
        if (this.#handles.size >= MAX_HANDLES) await this.close();
        handle = await open(file, 'r');
        this.#handles.set(file, handle);
      }
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    } catch {
      return Buffer.alloc(0);
    }
  }

  async close(): Promise<void> {
    for (const handle of this.#handles.values()) await handle.close();
    this.#handles.clear();
  }
}
