// How often strangers may ask for work: token buckets, one for each source and one for all.
import type { Clock } from '../kernel/clock.js';
import { type Duration, seconds } from '../kernel/duration.js';

export interface BucketOptions {
  /** How many at once. */
  readonly burst: number;
  readonly perSecond: number;
}

export interface RateLimitOptions {
  readonly perSource: BucketOptions;
  readonly overall: BucketOptions;
}

const MAX_SOURCES = 4_096;

class Bucket {
  #level: number;
  #at: Duration;

  constructor(
    private readonly options: BucketOptions,
    private readonly clock: Clock,
  ) {
    this.#level = options.burst;
    this.#at = clock.monotonic();
  }

  /** How long until there is one to take; 0 when there is. */
  wait(): Duration {
    const now = this.clock.monotonic();
    this.#level = Math.min(this.options.burst, this.#level + ((now - this.#at) / 1_000) * this.options.perSecond);
    this.#at = now;
    return this.#level >= 1 ? seconds(0) : seconds((1 - this.#level) / this.options.perSecond);
  }

  take(): void {
    this.#level -= 1;
  }
}

export class RateLimit {
  readonly #overall: Bucket;
  /** The one used last stands last. */
  readonly #sources = new Map<string, Bucket>();

  constructor(
    private readonly options: RateLimitOptions,
    private readonly modules: { readonly clock: Clock },
  ) {
    this.#overall = new Bucket(options.overall, modules.clock);
  }

  /** Takes one turn: undefined when there was one, else how long to wait for it. */
  take(source: string): Duration | undefined {
    const own = this.#sources.get(source) ?? new Bucket(this.options.perSource, this.modules.clock);
    this.#sources.delete(source);
    this.#sources.set(source, own);
    for (const oldest of this.#sources.keys()) {
      if (this.#sources.size <= MAX_SOURCES) break;
      this.#sources.delete(oldest);
    }
    const wait = Math.max(own.wait(), this.#overall.wait()) as Duration;
    if (wait > 0) return wait;
    own.take();
    this.#overall.take();
    return undefined;
  }
}

/** Of `192.0.2.1:5000` the address: each connection has another port. */
export const sourceOf = (peer: string): string => peer.replace(/:\d+$/, '');
