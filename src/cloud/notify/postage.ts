// How many e-mails a customer's alarms may cause: whoever is named as a receiver need not want them, and it is the
// operator's mail server that sends them. What has to wait goes into the next message together with whatever comes.
import type { Clock } from '../../kernel/clock.js';
import { type Duration, milliseconds } from '../../kernel/duration.js';
import { type BucketOptions, TokenBucket } from '../../kernel/token-bucket.js';

/** To one address: ten in a row, then one every five minutes. */
export const PER_ADDRESS: BucketOptions = { burst: 10, perSecond: 1 / 300 };
/** To all addresses of a customer. */
export const PER_CUSTOMER: BucketOptions = { burst: 160, perSecond: 1 / 10 };

export class Postage {
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(private readonly clock: Clock) {}

  /** Takes what a message to these addresses costs: undefined when it could, else how long until it can. */
  take(customerId: string, addresses: readonly string[]): Duration | undefined {
    for (const [name, bucket] of this.#buckets) if (bucket.isFull) this.#buckets.delete(name);
    const each = addresses.map((address) => this.#bucket(`${customerId}/${address.toLowerCase()}`, PER_ADDRESS));
    const all = this.#bucket(customerId, PER_CUSTOMER);
    const wait = Math.max(all.wait(addresses.length), ...each.map((bucket) => bucket.wait()));
    if (wait > 0) return milliseconds(wait);
    all.take(addresses.length);
    for (const bucket of each) bucket.take();
    return undefined;
  }

  #bucket(name: string, options: BucketOptions): TokenBucket {
    const bucket = this.#buckets.get(name) ?? new TokenBucket(options, this.clock);
    this.#buckets.set(name, bucket);
    return bucket;
  }
}
