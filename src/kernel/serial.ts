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
