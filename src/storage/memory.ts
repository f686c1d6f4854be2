// A store that lives in memory: for unit tests, and as the model that the real one is compared with. It forgets
// everything with the process, and can be told to fail.
import { view } from '../kernel/bytes.js';
import { closed, GroupCommit } from './group-commit.js';
import { type Entry, type Op, type Range, StorageFault, type Store } from './store.js';

export interface MemoryStoreOptions {
  readonly maxGroupBytes?: number;
  /** Awaited before each write takes effect: lets a test hold a write in flight. */
  readonly beforeWrite?: () => Promise<void>;
}

export class MemoryStore implements Store {
  /** Keys as latin1 strings: one char per byte, so that string order is byte order. */
  #content = new Map<string, Buffer>();
  #sorted: readonly (readonly [string, Buffer])[] | undefined;
  readonly #group: GroupCommit;
  #failures = 0;
  #failingRecoveries = 0;
  #stopped = false;
  #writes = 0;

  constructor(private readonly options: MemoryStoreOptions = {}) {
    this.#group = new GroupCommit(options, {
      write: (ops) => this.#write(ops),
      recover: async () => {
        if (this.#failingRecoveries-- > 0) throw failure('reopening failed because the test says so');
        this.#failingRecoveries = 0;
      },
    });
  }

  /** How many shared writes have succeeded. */
  get writes(): number {
    return this.#writes;
  }

  /** The next `count` shared writes fail and leave nothing behind. */
  failNextWrite(count = 1): void {
    this.#failures = count;
  }

  /** The next `count` attempts to reopen after a failed write fail too. */
  failNextReopen(count = 1): void {
    this.#failingRecoveries = count;
  }

  /** Another store with what this one holds: what a restarted process would find. */
  restarted(options: MemoryStoreOptions = {}): MemoryStore {
    const next = new MemoryStore(options);
    next.#content = new Map(this.#content);
    return next;
  }

  async get(key: Uint8Array): Promise<Buffer | undefined> {
    if (this.#stopped) throw closed();
    const value = this.#content.get(text(key));
    return value && Buffer.from(value);
  }

  async *entries(range: Range): AsyncGenerator<Entry> {
    if (this.#stopped) throw closed();
    const [from, until] = [text(range.from), text(range.until)];
    let left = range.limit ?? Number.POSITIVE_INFINITY;
    const sorted = this.#sort();
    const count = sorted.length;
    for (let i = 0; i < count && left > 0; i++) {
      const entry = sorted[range.reverse ? count - 1 - i : i];
      if (!entry || entry[0] < from || entry[0] >= until) continue;
      left--;
      yield { key: Buffer.from(entry[0], 'latin1'), value: Buffer.from(entry[1]) };
      if (this.#stopped) throw closed();
    }
  }

  commit(build: () => readonly Op[] | undefined): Promise<void> {
    return this.#group.commit(build);
  }

  onReset(listener: () => Promise<void>): () => void {
    return this.#group.onReset(listener);
  }

  async reclaim(): Promise<void> {
    if (this.#stopped) throw closed();
  }

  async size(): Promise<number> {
    let bytes = 0;
    for (const [key, value] of this.#content) bytes += key.length + value.length;
    return bytes;
  }

  async stop(): Promise<void> {
    await this.#group.stop();
    this.#stopped = true;
  }

  async #write(ops: readonly Op[]): Promise<void> {
    await this.options.beforeWrite?.();
    if (this.#failures > 0) {
      this.#failures--;
      throw failure('the write failed because the test says so');
    }
    for (const op of ops) {
      if ('put' in op) this.#content.set(text(op.put), Buffer.from(op.value));
      else this.#content.delete(text(op.del));
    }
    this.#sorted = undefined;
    this.#writes++;
  }

  /** Never changed in place: an iteration that began before a write goes on with what it saw. */
  #sort(): readonly (readonly [string, Buffer])[] {
    this.#sorted ??= [...this.#content].sort(([a], [b]) => (a < b ? -1 : 1));
    return this.#sorted;
  }
}

const text = (bytes: Uint8Array): string => view(bytes).toString('latin1');

const failure = (message: string): StorageFault => new StorageFault('storage.write-failed', message);
