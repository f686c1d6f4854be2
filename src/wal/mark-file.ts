// The mark: how far each log had been reported durable. LevelDB can lose the end of what it had synced to one flipped
// bit without noticing; whoever reports a flush durable therefore writes it down here as well, outside LevelDB.
//
// Layout: two slots of 16 KiB, at 0 and 16,384, all numbers big-endian:
//   checksum (u32, CRC-32 of all that follows up to the last entry) · "OCCM" · sequence (u64) · machine id (16) ·
//   number of entries (u32) · entries of 41 bytes: log (16), next flush (u64), chain after next-1 (16; zeros: unknown),
//   flags (u8; 1: cut, nothing at `next` or above belongs to the log)
//
// Order of writes, for a flush: (1) the store commits it, synced; (2) the slot with the lower sequence is overwritten;
// (3) the flush is reported durable. So a torn or failed write leaves the other slot, which is at most one flush behind,
// and a valid slot never promises what the store did not have. At opening the valid slot with the higher sequence wins:
// every flush below `next` was in the store; what is not there any more has been lost.
//
// What is written survives the death of the process; it is synced a second later, not for every flush, which would double
// the price of a flush. Only a power failure and a damaged store within the same second can hide a loss.
//
// The file is created at its full size, so that writing it needs no space. It is written without handing the work to
// another thread: that takes longer than the few bytes, which go no further than the memory of the system.
import { writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { concat, readU64be, u64be } from '../storage/keys.js';

const SLOT = 16 * 1024;
const MAGIC = Buffer.from('OCCM');
const HEADER = 4 + 4 + 8 + 16 + 4;
const ENTRY = 16 + 8 + 16 + 1;
const CUT = 1;
const NO_CHAIN = Buffer.alloc(16);

/** Logs that one mark can name. */
export const MOST_MARKED_LOGS = 256;

export interface MarkEntry {
  readonly log: Buffer;
  /** Every flush below was reported durable. */
  readonly next: number;
  readonly chain: Buffer | undefined;
  readonly cut: boolean;
}

export interface Mark {
  readonly machineId: Buffer;
  /** Oldest log first. */
  readonly entries: readonly MarkEntry[];
}

export class MarkFile {
  #sequence: number;
  #slot: number;
  #isSynced = true;

  private constructor(
    private readonly file: FileHandle,
    private mark: Mark | undefined,
    /** Both slots are invalid although the file has been written before. */
    readonly unreadable: boolean,
    latest: { sequence: number; slot: number },
  ) {
    this.#sequence = latest.sequence;
    this.#slot = latest.slot;
  }

  /** The mark that counts; undefined when there is none or both slots are invalid. */
  get latest(): Mark | undefined {
    return this.mark;
  }

  /** Opens or creates the file. Throws what the file system says. */
  static async open(path: string): Promise<MarkFile> {
    // 'a' creates and 'r+' writes in place; no single flag does both without truncating.
    await (await open(path, 'a', 0o600)).close();
    const file = await open(path, 'r+');
    try {
      const bytes = await file.readFile();
      const slots = [readSlot(bytes.subarray(0, SLOT)), readSlot(bytes.subarray(SLOT, 2 * SLOT))];
      const newest = (slots[1]?.sequence ?? 0) > (slots[0]?.sequence ?? 0) ? 1 : 0;
      if (bytes.length < 2 * SLOT) {
        await file.write(Buffer.alloc(2 * SLOT - bytes.length), 0, 2 * SLOT - bytes.length, bytes.length);
        await file.sync();
      }
      const found = slots[newest];
      const unreadable = !found && bytes.some((byte) => byte !== 0);
      return new MarkFile(file, found?.mark, unreadable, { sequence: found?.sequence ?? 0, slot: newest });
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  }

  /**
   * Replaces the mark; from then on the new one survives the process, and power loss once it is synced. When it throws
   * (the system's error) the old or the new one counts. Of more than 256 entries the oldest are left out.
   */
  write({ machineId, entries }: Mark): void {
    const kept = entries.slice(-MOST_MARKED_LOGS);
    const count = Buffer.alloc(4);
    count.writeUInt32BE(kept.length);
    const body = concat(
      MAGIC,
      u64be(this.#sequence + 1),
      machineId,
      count,
      ...kept.flatMap(({ log, next, chain, cut }) => [log, u64be(next), chain ?? NO_CHAIN, cut ? CUT : 0]),
    );
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(body));
    const slot = concat(checksum, body);
    writeSync(this.file.fd, slot, 0, slot.length, (1 - this.#slot) * SLOT);
    this.#isSynced = false;
    this.#slot = 1 - this.#slot;
    this.#sequence += 1;
    this.mark = { machineId, entries: kept };
  }

  /** When it resolves, the mark last written before the call survives power loss. Throws the system's error. */
  async sync(): Promise<void> {
    if (this.#isSynced) return;
    this.#isSynced = true;
    await this.file.datasync().catch((thrown) => {
      this.#isSynced = false;
      throw thrown;
    });
  }

  async stop(): Promise<void> {
    await this.file.close();
  }
}

function readSlot(slot: Buffer): { sequence: number; mark: Mark } | undefined {
  if (slot.length < HEADER || !slot.subarray(4, 8).equals(MAGIC)) return undefined;
  const count = slot.readUInt32BE(32);
  const end = HEADER + count * ENTRY;
  if (end > slot.length || crc32(slot.subarray(4, end)) !== slot.readUInt32BE(0)) return undefined;
  const entries = Array.from({ length: count }, (_, i): MarkEntry => {
    const at = HEADER + i * ENTRY;
    const chain = Buffer.from(slot.subarray(at + 24, at + 40));
    return {
      log: Buffer.from(slot.subarray(at, at + 16)),
      next: readU64be(slot, at + 16),
      chain: chain.equals(NO_CHAIN) ? undefined : chain,
      cut: ((slot[at + 40] ?? 0) & CUT) !== 0,
    };
  });
  return { sequence: readU64be(slot, 8), mark: { machineId: Buffer.from(slot.subarray(16, 32)), entries } };
}
