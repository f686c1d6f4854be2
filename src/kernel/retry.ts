// Retry schedules: pure, endless sequences of waits. Who waits, and what may be retried, is decided by the caller.
import { type Duration, milliseconds, seconds } from './duration.js';
import type { Random } from './random.js';

export interface BackoffOptions {
  readonly first: Duration;
  readonly factor: number;
  readonly cap: Duration;
}

export const RECONNECT: BackoffOptions = { first: seconds(1), factor: 1.6, cap: seconds(60) };

/** Full jitter: each wait is uniform in 0…bound, while the bound grows from `first` by `factor` up to `cap`. */
export function* backoff(options: BackoffOptions, random: Random): Generator<Duration, never, void> {
  let bound: number = options.first;
  for (;;) {
    yield milliseconds(random.uniform() * bound);
    bound = Math.min(bound * options.factor, options.cap);
  }
}

/**
 * The waits of one who tries again. Whoever says when to come back is there, and knows: that is how long the wait is, and what
 * was tried in vain before counts no more. Without that, or when it is only a moment, backoff.
 */
export class RetryWaits {
  #waits: Generator<Duration, never, void>;

  constructor(
    private readonly options: BackoffOptions,
    private readonly random: Random,
  ) {
    this.#waits = backoff(options, random);
  }

  /** `hint`: milliseconds after which the other side wants to hear from this one; 0 when it has said nothing. */
  next(hint: number): Duration {
    if (hint >= this.options.first) this.restart();
    return milliseconds(Math.max(hint, this.#waits.next().value));
  }

  restart(): void {
    this.#waits = backoff(this.options, this.random);
  }
}
