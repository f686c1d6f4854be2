// One table of the cloud's records in memory, with an index by group. It has two faces: readers outside a transaction see
// only what is durable; a transaction also sees what earlier transactions have changed but whose write is on its way,
// so that what it checks cannot go stale. Writing and loading is journal.ts.
import type { Op } from '../../storage/store.js';
import { Layer } from './layer.js';

/** How records of one kind are named, grouped and stored. Records are immutable: a change is a new object. */
export interface Shape<R> {
  idOf(record: R): string;
  /** Records of one group can be walked without walking all. The group of a record never changes. */
  groupOf(record: R): string;
  /** Other names of a record, each of at most one record. Absent: none. */
  aliasesOf?(record: R): readonly string[];
  keyOf(record: R): Buffer;
  encode(record: R): Buffer;
}

export type Change<R> = { readonly before: R | undefined; readonly after: R | undefined };

/** What one transaction did to one table. */
export interface Pending {
  readonly ops: readonly Op[];
  /** The write is durable: readers see it. Returns what tells the listeners, to be called when all tables are settled. */
  settle(): () => void;
  /** The write failed. */
  drop(): void;
}

export class Table<R> {
  #durable = new Map<string, R>();
  #groups = new Map<string, Map<string, R>>();
  #aliases = new Map<string, string>();
  readonly #ahead: Layer<R>;
  #draft: Layer<R> | undefined;
  readonly #listeners = new Set<(change: Change<R>) => void>();

  constructor(private readonly shape: Shape<R>) {
    this.#ahead = this.#layer();
  }

  // --- For readers.

  get(id: string): R | undefined {
    return this.#durable.get(id);
  }

  byAlias(alias: string): R | undefined {
    const id = this.#aliases.get(alias);
    return id === undefined ? undefined : this.#durable.get(id);
  }

  all(): Iterable<R> {
    return this.#durable.values();
  }

  group(group: string): Iterable<R> {
    return this.#groups.get(group)?.values() ?? [];
  }

  groupSize(group: string): number {
    return this.#groups.get(group)?.size ?? 0;
  }

  get size(): number {
    return this.#durable.size;
  }

  /** Calls `listener` after each durable change, until the returned function is called. */
  onChange(listener: (change: Change<R>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // --- Inside a transaction.

  latest(id: string): R | undefined {
    const slot = this.#draft?.get(id) ?? this.#ahead.get(id);
    return slot ? slot.record : this.#durable.get(id);
  }

  latestByAlias(alias: string): R | undefined {
    for (const id of [this.#draft?.named(alias), this.#ahead.named(alias), this.#aliases.get(alias)]) {
      // What has lost the name since does not count.
      const record = id === undefined ? undefined : this.latest(id);
      if (record !== undefined && this.#aliasesOf(record).includes(alias)) return record;
    }
    return undefined;
  }

  *latestAll(): Iterable<R> {
    yield* this.#merged(this.#durable, () => true);
  }

  *latestGroup(group: string): Iterable<R> {
    yield* this.#merged(this.#groups.get(group) ?? new Map(), (record) => this.shape.groupOf(record) === group);
  }

  put(record: R): R {
    this.#open().set(this.shape.idOf(record), { record });
    return record;
  }

  remove(id: string): void {
    this.#open().set(id, { record: undefined });
  }

  // --- For the journal.

  /** Replaces everything by what the store holds. Listeners are told of every record. */
  load(records: Iterable<R>): void {
    this.#ahead.clear();
    this.#durable = new Map();
    this.#groups = new Map();
    this.#aliases = new Map();
    for (const record of records) {
      this.#set(this.shape.idOf(record), record);
      this.#tell({ before: undefined, after: record });
    }
  }

  begin(): void {
    this.#draft = this.#layer();
  }

  abort(): void {
    this.#draft = undefined;
  }

  seal(): Pending {
    const draft = this.#open();
    this.#draft = undefined;
    const ops: Op[] = [];
    for (const [id, slot] of draft) {
      const before = this.latest(id);
      if (slot.record !== undefined)
        ops.push({ put: this.shape.keyOf(slot.record), value: this.shape.encode(slot.record) });
      else if (before !== undefined) ops.push({ del: this.shape.keyOf(before) });
    }
    for (const [id, slot] of draft) this.#ahead.set(id, slot);
    const drop = () => {
      for (const [id, slot] of draft) if (this.#ahead.get(id) === slot) this.#ahead.delete(id);
    };
    const settle = () => {
      const changes: Change<R>[] = [];
      for (const [id, slot] of draft) {
        changes.push({ before: this.#durable.get(id), after: slot.record });
        this.#set(id, slot.record);
      }
      drop();
      return () => {
        for (const change of changes) this.#tell(change);
      };
    };
    return { ops, settle, drop };
  }

  #aliasesOf(record: R): readonly string[] {
    return this.shape.aliasesOf?.(record) ?? [];
  }

  #layer(): Layer<R> {
    return new Layer((record) => this.#aliasesOf(record));
  }

  #open(): Layer<R> {
    if (!this.#draft) throw new TypeError('a table is changed inside a transaction only');
    return this.#draft;
  }

  *#merged(base: ReadonlyMap<string, R>, belongs: (record: R) => boolean): Iterable<R> {
    const over = new Map([...this.#ahead, ...(this.#draft ?? [])]);
    for (const [id, record] of base) if (!over.has(id)) yield record;
    for (const { record } of over.values()) if (record !== undefined && belongs(record)) yield record;
  }

  #set(id: string, record: R | undefined): void {
    const old = this.#durable.get(id);
    for (const alias of old === undefined ? [] : this.#aliasesOf(old)) {
      if (this.#aliases.get(alias) === id) this.#aliases.delete(alias);
    }
    if (record === undefined) {
      this.#durable.delete(id);
      if (old !== undefined) this.#groups.get(this.shape.groupOf(old))?.delete(id);
      return;
    }
    this.#durable.set(id, record);
    for (const alias of this.#aliasesOf(record)) this.#aliases.set(alias, id);
    const name = this.shape.groupOf(record);
    let group = this.#groups.get(name);
    if (!group) {
      group = new Map();
      this.#groups.set(name, group);
    }
    group.set(id, record);
  }

  #tell(change: Change<R>): void {
    for (const listener of [...this.#listeners]) listener(change);
  }
}
