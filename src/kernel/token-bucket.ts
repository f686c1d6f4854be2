// A budget that fills up again with time: how much of something may be had at once, and how much in the long run.
import type { Clock } from './clock.js';
import { type Duration, seconds } from './duration.js';

export interface BucketOptions {
  /** How much at once. */
  readonly burst: number;
  readonly perSecond: number;
}

/** What is missing by rounding is there. */
const ROUNDING = 1e-6;

export class TokenBucket {
  #level: number;
  #at: Duration;

  constructor(
    private readonly options: BucketOptions,
    private readonly clock: Clock,
  ) {
    this.#level = options.burst;
    this.#at = clock.monotonic();
  }

  get isFull(): boolean {
    return this.wait(this.options.burst) === 0;
  }

  /** How long until there is so much to take; 0 when there is. Never for more than a burst: that is taken from a full one. */
  wait(amount = 1): Duration {
    const { burst, perSecond } = this.options;
    const now = this.clock.monotonic();
    this.#level = Math.min(burst, this.#level + ((now - this.#at) / 1_000) * perSecond);
    this.#at = now;
    const missing = Math.min(amount, burst) - this.#level;
    return seconds(missing > ROUNDING ? missing / perSecond : 0);
  }

  /** Whatever there is: what is taken beyond it has to fill up before anything more can be had. */
  take(amount = 1): void {
    this.#level -= amount;
  }
}
