// Virtual time. Nothing moves until a test says so, and a test can wait until the code under test has armed a timer.
import type { Clock, Timer } from '../../src/kernel/clock.js';
import { type Duration, type EpochMs, epochMs, milliseconds } from '../../src/kernel/duration.js';

interface Armed {
  readonly due: number;
  readonly action: () => void;
}

export class FakeClock implements Clock {
  #elapsed = 0;
  #wallOffset: number;
  readonly #armed = new Set<Armed>();
  #waiters: { count: number; resolve: () => void }[] = [];

  constructor(start: number = Date.UTC(2026, 0, 1)) {
    this.#wallOffset = start;
  }

  now(): EpochMs {
    return epochMs(this.#wallOffset + this.#elapsed);
  }

  monotonic(): Duration {
    return milliseconds(this.#elapsed);
  }

  /** Moves the wall clock only, as a wrong or corrected clock does. */
  jumpWall(by: number): void {
    this.#wallOffset += by;
  }

  after(delay: Duration, action: () => void): Timer {
    const armed: Armed = { due: this.#elapsed + Math.max(0, delay), action };
    this.#armed.add(armed);
    for (const waiter of this.#waiters) if (this.#armed.size >= waiter.count) waiter.resolve();
    this.#waiters = this.#waiters.filter((waiter) => this.#armed.size < waiter.count);
    const disarm = () => void this.#armed.delete(armed);
    return { disarm, [Symbol.dispose]: disarm };
  }

  get armed(): number {
    return this.#armed.size;
  }

  /** Resolves once at least `count` timers are armed. */
  untilArmed(count = 1): Promise<void> {
    if (this.#armed.size >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ count, resolve }));
  }

  /** Fires everything due within `span`, in order, letting promises settle after each. */
  async advance(span: Duration): Promise<void> {
    const end = this.#elapsed + span;
    for (;;) {
      await settle();
      const next = this.#next();
      if (!next || next.due > end) break;
      this.#armed.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.due);
      next.action();
    }
    this.#elapsed = end;
    await settle();
  }

  /** The one that is due first; of several, the one that was armed first. */
  #next(): Armed | undefined {
    let next: Armed | undefined;
    for (const armed of this.#armed) if (!next || armed.due < next.due) next = armed;
    return next;
  }
}

/** Lets pending promise reactions and immediates run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
