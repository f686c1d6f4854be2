// A queue in which those whose items wait take turns, one item each.

export class RoundRobin<K, T> {
  /** In the order of their turns: whoever was served stands last. */
  readonly #queues = new Map<K, T[]>();

  /** How many there are of whom something waits. */
  get parties(): number {
    return this.#queues.size;
  }

  /** Whose turn is next: the item. */
  get next(): T | undefined {
    for (const [first] of this.#queues.values()) return first;
    return undefined;
  }

  /** How many items of one wait. */
  waiting(whose: K): number {
    return this.#queues.get(whose)?.length ?? 0;
  }

  push(whose: K, item: T): void {
    const queue = this.#queues.get(whose);
    if (queue) queue.push(item);
    else this.#queues.set(whose, [item]);
  }

  shift(): T | undefined {
    for (const [whose, queue] of this.#queues) {
      const item = queue.shift();
      this.#queues.delete(whose);
      if (queue.length > 0) this.#queues.set(whose, queue);
      return item;
    }
    return undefined;
  }
}
