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
