// Commit numbers: every group of commits writes its own number into the store, in the same batch. Numbers without a
// hole are the proof that LevelDB dropped nothing when it replayed its log, which it does without a word after one
// flipped bit.
//
// Key: 0x00 'n' number (u64, big-endian); the value is empty. A window of the latest numbers is kept: each group deletes
// the oldest. The window must hold every commit that can still be in a log, since only from there can one vanish.
// LevelDB begins a new log when its table in memory passes `writeBufferSize`, and at most two logs are replayed. In that
// table an entry costs its key, 10 bytes of lengths and sequence number at least, and 16 of the skip list: a group has
// at least the number put (36), the oldest deleted (36) and one operation of its own (27). So two logs hold less than
// 2 * writeBufferSize / 99 groups; the window is one per 64 bytes, which leaves half as much again.
import type { ClassicLevel } from 'classic-level';
import { concat, readU64be, successor, u64be } from './keys.js';
import { StorageFault } from './store.js';

export type Level = ClassicLevel<Buffer, Buffer>;

const PREFIX = Buffer.from([0x00, 0x6e]);
const MIN_GROUP_BYTES = 64;
const EMPTY = Buffer.alloc(0);

export const numberKey = (n: number): Buffer => concat(PREFIX, u64be(n));

/** Operations as classic-level takes them. */
export interface PutOp {
  readonly type: 'put';
  readonly key: Buffer;
  readonly value: Buffer;
}
export interface DelOp {
  readonly type: 'del';
  readonly key: Buffer;
}

export class CommitNumbers {
  readonly #window: number;

  /** `first`…`last` are in the store; none when last is first - 1. */
  constructor(
    private first: number,
    private last: number,
    writeBufferSize: number,
  ) {
    this.#window = Math.ceil((2 * writeBufferSize) / MIN_GROUP_BYTES);
  }

  /** Reads the numbers of an open store. Faults: storage.damaged when one is missing, or the last is below `mark`. */
  static async read(level: Level, mark: number, writeBufferSize: number): Promise<CommitNumbers> {
    let first: number | undefined;
    let last = 0;
    const keys = level.keys({ gte: PREFIX, lt: successor(PREFIX), fillCache: false });
    try {
      for (let some = await keys.nextv(1000); some.length > 0; some = await keys.nextv(1000)) {
        for (const key of some) {
          const number = readU64be(key, PREFIX.length);
          first ??= number;
          if (number !== first && number !== last + 1) throw missing(last + 1, number - 1);
          last = number;
        }
      }
    } finally {
      await keys.close();
    }
    if (last < mark) throw missing(last + 1, mark);
    return new CommitNumbers(first ?? 1, last, writeBufferSize);
  }

  get latest(): number {
    return this.last;
  }

  /** What the next group writes besides its own operations; at most two deletions, should the window have shrunk. */
  next(): { readonly number: number; readonly ops: (PutOp | DelOp)[]; readonly written: () => void } {
    const number = this.last + 1;
    const surplus = Math.min(2, Math.max(0, number - this.first + 1 - this.#window));
    const ops: (PutOp | DelOp)[] = [{ type: 'put', key: numberKey(number), value: EMPTY }];
    // Also when there is nothing to delete yet: the window is reckoned with a deletion in every group.
    for (let i = 0; i < Math.max(1, surplus); i++)
      ops.push({ type: 'del', key: numberKey(surplus ? this.first + i : 0) });
    const written = () => {
      this.last = number;
      this.first += surplus;
    };
    return { number, ops, written };
  }
}

function missing(from: number, to: number): StorageFault {
  const range = from === to ? `commit ${from} is` : `commits ${from} to ${to} are`;
  return new StorageFault('storage.damaged', `${range} missing from the store`, {
    permanent: true,
    advice: 'Set the store aside and build it again from what is still good, or restore a backup.',
  });
}
