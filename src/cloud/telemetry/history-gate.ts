// What is read of a hub's history in several steps, batches and blocks first and summaries then, is read as of one moment:
// while somebody reads, nothing moves from there to here.

export class HistoryGate {
  readonly #readers = new Map<string, Set<Promise<unknown>>>();
  readonly #moving = new Map<string, Promise<unknown>>();

  /** Runs `action` while nothing of the machine moves. Must not be nested. */
  async read<T>(machine: Buffer, action: () => Promise<T>): Promise<T> {
    const name = machine.toString('hex');
    for (let moving = this.#moving.get(name); moving; moving = this.#moving.get(name)) await moving;
    const reading = action();
    const readers = this.#readers.get(name) ?? new Set();
    this.#readers.set(name, readers);
    const settled = reading.catch(() => undefined);
    readers.add(settled);
    try {
      return await reading;
    } finally {
      readers.delete(settled);
      if (readers.size === 0) this.#readers.delete(name);
    }
  }

  /** Runs `action`, which moves something of the machine, when nobody reads. One at a time for each machine. */
  async move(machine: Buffer, action: () => Promise<void>): Promise<void> {
    const name = machine.toString('hex');
    const readers = [...(this.#readers.get(name) ?? [])];
    const moving = Promise.all(readers).then(action);
    this.#moving.set(
      name,
      moving.catch(() => undefined),
    );
    try {
      await moving;
    } finally {
      this.#moving.delete(name);
    }
  }
}
