// How much people and services may ask of the API: so much for each customer, and for each token of those who see all of
// them, so that nobody's calls keep others from theirs. Looked at before anything of a request is read.
import type { Principal } from '../contract/callers.js';
import { ContractFault } from '../contract/fault.js';
import type { Clock } from '../kernel/clock.js';
import { milliseconds, seconds } from '../kernel/duration.js';
import { type BucketOptions, TokenBucket } from '../kernel/token-bucket.js';

interface Budget extends BucketOptions {
  /** Calls at a time, streams among them. */
  readonly atOnce: number;
}

/** All tokens of it together. */
export const OF_A_CUSTOMER: Budget = { burst: 500, perSecond: 100, atOnce: 200 };
/** One token. */
export const OF_ONE_WHO_SEES_ALL: Budget = { burst: 5_000, perSecond: 1_000, atOnce: 1_000 };

interface Account {
  readonly bucket: TokenBucket;
  atOnce: number;
  /** When the last one that was refused was told to come back, monotonic. */
  toldUntil: number;
}

/** Whoever asks much more than it may is not told to stay away for longer. */
const LATEST = seconds(5);
/** Where there are so many, those at rest are forgotten. */
const TIDIED_FROM = 1_000;

export class CallBudgets {
  readonly #accounts = new Map<string, Account>();
  #tidiedAt = TIDIED_FROM;

  constructor(private readonly clock: Clock) {}

  /** At the beginning of a call; the answer is called at its end. Faults: contract.exhausted, with when to come back. */
  readonly enter = (principal: Principal): (() => void) => {
    if (principal.kind !== 'user') return nothing;
    const { customerId, tokenId } = principal;
    const budget = customerId === undefined ? OF_ONE_WHO_SEES_ALL : OF_A_CUSTOMER;
    const account = this.#account(customerId ?? tokenId, budget);
    if (account.atOnce >= budget.atOnce) {
      throw new ContractFault('contract.exhausted', `there are ${budget.atOnce} calls and streams at once already`, {
        retryAfter: seconds(1),
        advice: 'End streams that nobody reads, and wait for answers.',
      });
    }
    const wait = account.bucket.wait();
    if (wait > 0) {
      // Each at a moment of its own: those who heed it are not refused again.
      const now = this.clock.monotonic();
      account.toldUntil = Math.max(now + wait, account.toldUntil + 1_000 / budget.perSecond);
      const retryAfter = milliseconds(Math.min(LATEST, Math.ceil(account.toldUntil - now)));
      throw new ContractFault('contract.exhausted', `there are more than ${budget.perSecond} calls per second`, {
        retryAfter,
        advice: 'Ask for more in one call, or less often.',
      });
    }
    account.bucket.take();
    account.atOnce += 1;
    return () => {
      account.atOnce -= 1;
    };
  };

  #account(name: string, budget: Budget): Account {
    const known = this.#accounts.get(name);
    if (known) return known;
    if (this.#accounts.size >= this.#tidiedAt) this.#tidy();
    const account = { bucket: new TokenBucket(budget, this.clock), atOnce: 0, toldUntil: 0 };
    this.#accounts.set(name, account);
    return account;
  }

  #tidy(): void {
    for (const [name, { bucket, atOnce }] of this.#accounts)
      if (atOnce === 0 && bucket.isFull) this.#accounts.delete(name);
    this.#tidiedAt = Math.max(TIDIED_FROM, 2 * this.#accounts.size);
  }
}

const nothing = (): void => undefined;
