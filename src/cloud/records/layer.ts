// Changed records of a table that do not count yet: of the transaction at work, or of those whose write is on its way.

/** A record, or `undefined` for one removed. */
export interface Slot<R> {
  readonly record: R | undefined;
}

export class Layer<R> {
  readonly #slots = new Map<string, Slot<R>>();
  readonly #names = new Map<string, string>();

  constructor(private readonly aliasesOf: (record: R) => readonly string[]) {}

  get(id: string): Slot<R> | undefined {
    return this.#slots.get(id);
  }

  /** The id of the record that has this alias, as far as this layer knows. */
  named(alias: string): string | undefined {
    return this.#names.get(alias);
  }

  set(id: string, slot: Slot<R>): void {
    this.delete(id);
    this.#slots.set(id, slot);
    if (slot.record !== undefined) for (const alias of this.aliasesOf(slot.record)) this.#names.set(alias, id);
  }

  delete(id: string): void {
    const record = this.#slots.get(id)?.record;
    this.#slots.delete(id);
    if (record === undefined) return;
    for (const alias of this.aliasesOf(record)) if (this.#names.get(alias) === id) this.#names.delete(alias);
  }

  clear(): void {
    this.#slots.clear();
    this.#names.clear();
  }

  [Symbol.iterator](): Iterator<[string, Slot<R>]> {
    return this.#slots.entries();
  }
}
