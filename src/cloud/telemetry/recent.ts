// Which batches were stored last, in their order: names only, so that thousands of hubs' last minute takes a few MiB. Whoever
// watched, and comes back, is told what passed meanwhile; the readings themselves are in the store.
import type { HubKey } from './ledger.js';

/** So many are known; at a thousand hubs that report every ten seconds, eleven minutes. */
const MOST = 65_536;
const FIRST = 1_024;

const ID = 16;
/** Customer, machine, log, first flush, number of flushes. */
const SLOT = 3 * ID + 8 + 4;

export interface RecentBatch {
  readonly hub: HubKey;
  readonly log: Buffer;
  readonly first: number;
  readonly count: number;
}

export class RecentBatches {
  #slots: Buffer;
  #stored = 0;

  constructor(private readonly most = MOST) {
    this.#slots = Buffer.alloc(Math.min(FIRST, most) * SLOT);
  }

  /** How many have been stored in all. */
  get stored(): number {
    return this.#stored;
  }

  note({ hub, log, first, count }: RecentBatch): void {
    this.#grow();
    const at = this.#at(this.#stored);
    hub.customer.copy(this.#slots, at);
    hub.machine.copy(this.#slots, at + ID);
    log.copy(this.#slots, at + 2 * ID);
    this.#slots.writeDoubleBE(first, at + 3 * ID);
    this.#slots.writeUInt32BE(count, at + 3 * ID + 8);
    this.#stored += 1;
  }

  /** Whether number `from` (the first ever is 0) and all after it are known. */
  knows(from: number): boolean {
    return Number.isSafeInteger(from) && from >= Math.max(0, this.#stored - this.most) && from <= this.#stored;
  }

  /**
   * Of number `from` and those after it, `most` of them, those of one customer, or all; undefined when not all of them are
   * known any more. Whoever asks pays little for what others store.
   */
  read(from: number, most: number, customer?: Buffer): RecentBatch[] | undefined {
    if (!this.knows(from)) return undefined;
    const end = Math.min(this.#stored, from + most);
    const found: RecentBatch[] = [];
    for (let n = from; n < end; n++) {
      const at = this.#at(n);
      if (!customer || this.#isOf(customer, at)) found.push(this.#read(at));
    }
    return found;
  }

  /** Almost always the last byte of an id tells it from another: it is random. */
  #isOf(customer: Buffer, at: number): boolean {
    const last = ID - 1;
    return this.#slots[at + last] === customer[last] && this.#slots.compare(customer, 0, ID, at, at + ID) === 0;
  }

  #read(at: number): RecentBatch {
    const id = (n: number) => Buffer.from(this.#slots.subarray(at + n * ID, at + (n + 1) * ID));
    return {
      hub: { customer: id(0), machine: id(1) },
      log: id(2),
      first: this.#slots.readDoubleBE(at + 3 * ID),
      count: this.#slots.readUInt32BE(at + 3 * ID + 8),
    };
  }

  #at(n: number): number {
    return (n * SLOT) % this.#slots.length;
  }

  /** Before the first round is over, nothing has to move. */
  #grow(): void {
    const full = this.#stored * SLOT === this.#slots.length;
    if (!full || this.#stored >= this.most) return;
    this.#slots = Buffer.concat([this.#slots], Math.min(2 * this.#slots.length, this.most * SLOT));
  }
}
