// The latest flushes with their readings, so that what is sent as it becomes durable is never read back from disk.
import type { EpochMs } from '../kernel/duration.js';
import type { EncodedFlush } from '../telemetry/batch.js';
import type { Flush } from '../telemetry/reading.js';

/** A flush as the log has it. */
export interface StoredFlush extends Flush, EncodedFlush {
  /** Digest of the log after it, 16 bytes. */
  readonly chain: Buffer;
  /** When it became durable, by the wall clock of that moment. */
  readonly durableAt: EpochMs;
  /** Bytes that it takes in the store. */
  readonly size: number;
}

const MOST_READINGS = 8_192;

export class Recent {
  #log: string | undefined;
  /** Contiguous, ascending, of one log. */
  #flushes: StoredFlush[] = [];
  #readings = 0;

  add(log: string, flush: StoredFlush): void {
    if (log !== this.#log || flush.number !== (this.#flushes.at(-1)?.number ?? -2) + 1) this.clear();
    this.#log = log;
    this.#flushes.push(flush);
    this.#readings += flush.readingCount;
    let gone = 0;
    while (this.#readings > MOST_READINGS && gone < this.#flushes.length - 1) {
      this.#readings -= this.#flushes[gone++]?.readingCount ?? 0;
    }
    this.#flushes.splice(0, gone);
  }

  get(log: string, number: number): StoredFlush | undefined {
    const first = this.#flushes[0]?.number;
    return log === this.#log && first !== undefined ? this.#flushes[number - first] : undefined;
  }

  clear(): void {
    this.#flushes = [];
    this.#readings = 0;
  }
}
