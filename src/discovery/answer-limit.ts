// How much a device may be made to say: answers per source and in all. UDP sources can be forged, so whoever answers
// without a limit floods a third party on somebody else's behalf.
import type { Clock } from '../kernel/clock.js';
import { TokenBucket } from '../kernel/token-bucket.js';

export interface AnswerLimitOptions {
  /** Datagrams per second to one address; also the largest burst. */
  readonly perSource: number;
  /** Datagrams per second to everybody; also the largest burst. */
  readonly inAll: number;
}

export const ANSWER_LIMITS: AnswerLimitOptions = { perSource: 5, inAll: 50 };

export class AnswerLimit {
  readonly #sources = new Map<string, TokenBucket>();
  readonly #all: TokenBucket;

  constructor(
    private readonly options: AnswerLimitOptions,
    private readonly modules: { readonly clock: Clock },
  ) {
    this.#all = this.#bucket(options.inAll);
  }

  /** True if `count` datagrams may be sent to `source` now; they are then counted. A refusal counts nothing. */
  take(source: string, count: number): boolean {
    const own = this.#sources.get(source) ?? this.#bucket(this.options.perSource);
    if (own.wait(count) > 0 || this.#all.wait(count) > 0) return false;
    own.take(count);
    this.#all.take(count);
    // Only who was answered is remembered, so forged sources cannot fill the map faster than `inAll` per second.
    if (!this.#sources.has(source)) this.#forgetIdle();
    this.#sources.set(source, own);
    return true;
  }

  /** How many sources are remembered. */
  get size(): number {
    return this.#sources.size;
  }

  #bucket(perSecond: number): TokenBucket {
    return new TokenBucket({ burst: perSecond, perSecond }, this.modules.clock);
  }

  /** A bucket is full again after one second, and then like one that never was. */
  #forgetIdle(): void {
    if (this.#sources.size < this.options.inAll) return;
    for (const [source, bucket] of this.#sources) if (bucket.isFull) this.#sources.delete(source);
  }
}
