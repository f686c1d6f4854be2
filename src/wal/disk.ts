// The two places that make a change durable, the store and the mark beside it, and what a failed append may have left in
// the first.
import type { Op, Store } from '../storage/store.js';
import type { Books } from './books.js';
import type { MarkEntry, MarkFile } from './mark-file.js';
import { encodeLog, logKey } from './records.js';

export class Disk {
  #uncounted: Buffer[] = [];

  constructor(
    readonly store: Store,
    private readonly mark: MarkFile,
    private readonly books: Books,
    private readonly machineId: Buffer,
  ) {}

  /** Keys of flushes that may be in the store and do not count, since their append failed. */
  get uncounted(): readonly Buffer[] {
    return this.#uncounted;
  }

  /** Writes `ops` and whatever is out of date, and deletes flushes that do not count. Faults: storage.* */
  async commit(ops: readonly Op[]): Promise<void> {
    const dirty = this.books.logs().filter((log) => log.dirty);
    await this.store.commit(() => [
      ...this.#uncounted.map((del) => ({ del })),
      ...dirty.map((log) => ({ put: logKey(log.id), value: encodeLog(log.record()) })),
      ...ops,
    ]);
    this.#uncounted = [];
    for (const log of dirty) log.dirty = false;
  }

  /**
   * As commit, with a flush that counts only once `counts` is called: if anything fails before, its record may be on
   * disk all the same, and must not turn up besides its repetition.
   */
  async commitFlush(ops: readonly Op[], flush: { readonly put: Buffer; readonly value: Buffer }): Promise<void> {
    this.#uncounted.push(flush.put);
    await this.commit([...ops, flush]);
    this.#uncounted = [flush.put];
  }

  /** The flush last committed counts. */
  counts(): void {
    this.#uncounted = [];
  }

  /** With `changed` in place of what the books say of that log. Throws what the file system says. */
  writeMark(changed?: MarkEntry): void {
    const entries = this.books.marks().filter(({ log }) => !changed?.log.equals(log));
    if (changed) entries.push(changed);
    this.mark.write({ machineId: this.machineId, entries });
  }

  /** Lets the mark survive power loss. Throws what the file system says. */
  syncMark(): Promise<void> {
    return this.mark.sync();
  }

  /** Lets the store recover from a failed write. Faults: storage.write-failed while it cannot, storage.damaged. */
  async revive(): Promise<void> {
    await this.store.commit(() => undefined);
  }
}
