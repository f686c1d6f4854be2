// How many runs may be at work at the same time. First come, first served.

/** Handed back by `release`, which may be called more than once. */
export interface Slot {
  release(): void;
}

export class Slots {
  readonly #queue: (() => void)[] = [];
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  /** Resolves when a slot is free; rejects with the signal's reason, giving up the place in the queue. */
  async acquire(signal: AbortSignal): Promise<Slot> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let held = true;
    return {
      release: () => {
        if (!held) return;
        held = false;
        const next = this.#queue.shift();
        if (next) next();
        else this.#free++;
      },
    };
  }

  /** A slot is passed on from hand to hand: it never becomes free while somebody waits. */
  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const proceed = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        this.#queue.splice(this.#queue.indexOf(proceed), 1);
        reject(signal.reason);
      };
      this.#queue.push(proceed);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }
}
