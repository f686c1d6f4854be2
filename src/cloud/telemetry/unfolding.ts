// What a batch costs, by its header: one of a few hundred bytes may hold 262,144 values, which take megabytes as arrays.

const READING = 32;
const VALUE = 8;

/** Verifying a batch and storing it take as much time as unfolding so many bytes. */
export const VERIFYING_COST: number = 16 * 1024;

/** What a batch costs in time, in bytes of memory that it takes as flat arrays: what it is charged with. */
export const unfoldingCost = ({ readingCount, valueCount }: { readingCount: number; valueCount: number }): number =>
  VERIFYING_COST + readingCount * READING + valueCount * VALUE;

/** To be hashed, what has been unfolded has to become readings, one by one: so many times the work. */
export const HASHING = 20;

/** Waits, before something is unfolded, until it may cost so much; or refuses by throwing. */
export type Afford = (cost: number) => Promise<void>;
