// Which acknowledged flushes are still kept, in case the cloud loses them, and which of them go first. Only ranges and
// sums are held: flushes acknowledged at about the same time share a bucket and are freed together.
import { type Duration, minutes } from '../kernel/duration.js';
import { RangeSet } from '../telemetry/ranges.js';
import type { LogState } from './log-state.js';

export interface RetentionLimits {
  readonly maxBytes: number;
  /** Since the acknowledgement; counted anew after a restart. */
  readonly maxAge: Duration;
}

export interface Bucket {
  readonly log: LogState;
  readonly flushes: RangeSet;
  /** When its first flush was acknowledged, by the monotonic clock. */
  readonly since: Duration;
  bytes: number;
}

const BUCKET_FLUSHES = 1_000;
const BUCKET_BYTES = 256 * 1024;
const BUCKET_SPAN = minutes(10);

export class Retention {
  #buckets: Bucket[] = [];
  #bytes = 0;

  constructor(private readonly limits: RetentionLimits) {}

  /** Bytes of all acknowledged flushes that are still kept. */
  get bytes(): number {
    return this.#bytes;
  }

  keep(log: LogState, number: number, size: number, now: Duration): void {
    let bucket = this.#buckets.at(-1);
    const full =
      !bucket ||
      bucket.log !== log ||
      bucket.flushes.size >= BUCKET_FLUSHES ||
      bucket.bytes >= BUCKET_BYTES ||
      now - bucket.since >= BUCKET_SPAN;
    if (!bucket || full) {
      bucket = { log, flushes: new RangeSet(), since: now, bytes: 0 };
      this.#buckets.push(bucket);
    }
    bucket.flushes.add({ first: number, count: 1 });
    bucket.bytes += size;
    this.#bytes += size;
  }

  /** The flush is owed again, or gone. */
  release(log: LogState, number: number, size: number): void {
    for (const bucket of this.#buckets) {
      if (bucket.log !== log || !bucket.flushes.has(number)) continue;
      bucket.flushes.remove({ first: number, count: 1 });
      bucket.bytes -= size;
      this.#bytes -= size;
      return;
    }
  }

  /** What has to go now, oldest first; undefined when everything may stay. */
  due(now: Duration): Bucket | undefined {
    const oldest = this.oldest();
    if (!oldest) return undefined;
    return this.#bytes > this.limits.maxBytes || now - oldest.since >= this.limits.maxAge ? oldest : undefined;
  }

  oldest(): Bucket | undefined {
    this.#buckets =
      this.#buckets[0]?.flushes.size === 0 ? this.#buckets.filter((b) => b.flushes.size > 0) : this.#buckets;
    return this.#buckets[0];
  }

  /** The oldest buckets that have to go so that no more than `bytes` are left. */
  beyond(bytes: number): Bucket[] {
    const going: Bucket[] = [];
    let left = this.#bytes;
    for (const bucket of this.#buckets) {
      if (left <= bytes) break;
      going.push(bucket);
      left -= bucket.bytes;
    }
    return going;
  }

  /** The bucket has been deleted from the store. */
  remove(bucket: Bucket): void {
    this.#buckets = this.#buckets.filter((other) => other !== bucket);
    this.#bytes -= bucket.bytes;
  }
}
