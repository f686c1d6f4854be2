// How much one customer may have and ask for: every quota stands here, and in the comments of the contract.
import type { BucketOptions } from '../kernel/token-bucket.js';

/** How many things there may be at the same time: of one customer, where nothing else is said. */
export const MOST = {
  /** Also of those who see all. */
  tokens: 1_000,
  /** Also those that were retired. */
  machines: 20_000,
  /** Also of those for alarms of all customers. */
  channels: 50,
  maintenances: 200,
  /** Of one hub. */
  sensors: 1_000,
} as const;

export interface Budget extends BucketOptions {
  /** Calls at a time, streams among them. */
  readonly atOnce: number;
}

/** All tokens of it together. */
export const OF_A_CUSTOMER: Budget = { burst: 500, perSecond: 100, atOnce: 200 };
/** One token. */
export const OF_ONE_WHO_SEES_ALL: Budget = { burst: 5_000, perSecond: 1_000, atOnce: 1_000 };
