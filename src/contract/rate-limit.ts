// How often strangers may ask for work: token buckets, one for each source and one for all.
import type { Clock } from '../kernel/clock.js';
import type { Duration } from '../kernel/duration.js';
import { type BucketOptions, TokenBucket } from '../kernel/token-bucket.js';

export interface RateLimitOptions {
  readonly perSource: BucketOptions;
  readonly overall: BucketOptions;
}

const MAX_SOURCES = 4_096;

export class RateLimit {
  readonly #overall: TokenBucket;
  /** The one used last stands last. */
  readonly #sources = new Map<string, TokenBucket>();

  constructor(
    private readonly options: RateLimitOptions,
    private readonly modules: { readonly clock: Clock },
  ) {
    this.#overall = new TokenBucket(options.overall, modules.clock);
  }

  /** Takes one turn: undefined when there was one, else how long to wait for it. */
  take(source: string): Duration | undefined {
    const own = this.#sources.get(source) ?? new TokenBucket(this.options.perSource, this.modules.clock);
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
