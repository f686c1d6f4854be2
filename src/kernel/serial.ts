// Running things one after another: a queue of asynchronous actions, of which one runs at a time.

/** Actions run in the order in which they were given. A failed one does not stop those behind it. */
export class Serial {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(action, action);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Resolves when everything given so far has ended. */
  async idle(): Promise<void> {
    await this.#tail;
  }
}

/** Of those with the same key one runs at a time; those with different keys run side by side. */
export class SerialByKey {
  readonly #queues = new Map<string, { readonly serial: Serial; waiting: number }>();

  async run<T>(key: string, action: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? { serial: new Serial(), waiting: 0 };
    this.#queues.set(key, queue);
    queue.waiting += 1;
    try {
      return await queue.serial.run(action);
    } finally {
      queue.waiting -= 1;
      if (queue.waiting === 0) this.#queues.delete(key);
    }
  }
}
