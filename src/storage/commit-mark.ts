// The high-water mark beside a store: a number that the last durable commit cannot be below. LevelDB takes any damage
// near the end of its log for a writer that died and drops what follows; the mark shows that something did follow.
//
// File COMMITTED: two slots, at 0 and 512, written in turns; each: number (u64, big-endian), CRC-32 of it (u32).
// Written after each commit but not synced, and by no other thread, so it costs next to nothing: it survives the death
// of the process, and after a power loss it may be a little old, never too new. Synced when the store is closed.
import { writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { readU64be, u64be } from './keys.js';

const FILE = 'COMMITTED';
const SLOT_DISTANCE = 512;
const SLOT_BYTES = 12;

export class CommitMark {
  #slot = 0;

  private constructor(
    private known: number,
    private readonly file: FileHandle,
    private readonly log: Logger,
  ) {}

  /** Opens or creates the file in `directory`. Throws what the file system says. */
  static async open(directory: string, log: Logger): Promise<CommitMark> {
    // 'a+' creates and 'r+' writes in place; no single flag does both without truncating.
    await (await open(join(directory, FILE), 'a', 0o600)).close();
    const file = await open(join(directory, FILE), 'r+');
    try {
      const bytes = await file.readFile();
      const slots = [readSlot(bytes, 0), readSlot(bytes, SLOT_DISTANCE)];
      if (bytes.length > 0 && slots.every((slot) => slot === undefined)) {
        log.warn({ directory }, 'the commit mark is unreadable: a loss at the end of the store would go unnoticed');
      }
      const mark = new CommitMark(Math.max(0, ...slots.map((slot) => slot ?? 0)), file, log);
      // The older slot is overwritten first.
      mark.#slot = (slots[0] ?? 0) <= (slots[1] ?? 0) ? 0 : 1;
      return mark;
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  }

  /** The latest commit known to be durable; zero when nothing is known. */
  get latest(): number {
    return this.known;
  }

  /** Notes that commit `number` is durable. */
  advance(number: number): void {
    this.known = number;
    const bytes = u64be(number);
    const slot = Buffer.alloc(SLOT_BYTES);
    slot.set(bytes);
    slot.writeUInt32BE(crc32(bytes), 8);
    try {
      writeSync(this.file.fd, slot, 0, SLOT_BYTES, this.#slot * SLOT_DISTANCE);
    } catch (thrown) {
      this.#complain(thrown);
    }
    this.#slot = 1 - this.#slot;
  }

  async stop(): Promise<void> {
    await this.file.sync().catch((thrown) => this.#complain(thrown));
    await this.file.close();
  }

  /** Not a failure of the store: an old mark is still a true one. */
  #complain(thrown: unknown): void {
    this.log.warn({ cause: describe(thrown) }, 'the commit mark could not be written');
  }
}

function readSlot(bytes: Buffer, at: number): number | undefined {
  if (bytes.length < at + SLOT_BYTES) return undefined;
  const number = bytes.subarray(at, at + 8);
  return crc32(number) === bytes.readUInt32BE(at + 8) ? readU64be(number) : undefined;
}
