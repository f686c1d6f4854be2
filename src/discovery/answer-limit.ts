// How much a device may be made to say: answers per source and in all. UDP sources can be forged, so whoever answers
// without a limit floods a third party on somebody else's behalf.
import type { Clock } from '../kernel/clock.js';

export interface AnswerLimitOptions {
  /** Datagrams per second to one address; also the largest burst. */
  readonly perSource: number;
  /** Datagrams per second to everybody; also the largest burst. */
  readonly inAll: number;
}

export const ANSWER_LIMITS: AnswerLimitOptions = { perSource: 5, inAll: 50 };

interface Bucket {
  tokens: number;
  filledAt: number;
}

export class AnswerLimit {
  readonly #sources = new Map<string, Bucket>();
  readonly #all: Bucket;

  constructor(
    private readonly options: AnswerLimitOptions,
    private readonly modules: { readonly clock: Clock },
  ) {
    this.#all = { tokens: options.inAll, filledAt: modules.clock.monotonic() };
  }

  /** True if `count` datagrams may be sent to `source` now; they are then counted. A refusal counts nothing. */
  take(source: string, count: number): boolean {
    const own = this.#sources.get(source) ?? { tokens: this.options.perSource, filledAt: this.#now() };
    this.#fill(own, this.options.perSource);
    this.#fill(this.#all, this.options.inAll);
    if (own.tokens < count || this.#all.tokens < count) return false;
    own.tokens -= count;
    this.#all.tokens -= count;
    // Only who was answered is remembered, so forged sources cannot fill the map faster than `inAll` per second.
    if (!this.#sources.has(source)) this.#forgetIdle();
    this.#sources.set(source, own);
    return true;
  }

  /** How many sources are remembered. */
  get size(): number {
    return this.#sources.size;
  }

  #now(): number {
    return this.modules.clock.monotonic();
  }

  #fill(bucket: Bucket, rate: number): void {
    const now = this.#now();
    bucket.tokens = Math.min(rate, bucket.tokens + ((now - bucket.filledAt) / 1_000) * rate);
    bucket.filledAt = now;
  }

  /** A bucket is full again after one second, and then like one that never was. */
  #forgetIdle(): void {
    if (this.#sources.size < this.options.inAll) return;
    const full = this.#now() - 1_000;
    for (const [source, bucket] of this.#sources) if (bucket.filledAt <= full) this.#sources.delete(source);
  }
}
