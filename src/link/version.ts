// The limits that are part of the protocol; which versions of it there are: negotiation.ts.

/** A Hello names no more logs. */
export const MOST_LOGS = 256;
/** A DigestRequest names no more flushes. */
export const MOST_DIGESTS = 4_096;
/** What a peer says of itself for people (program version, why its last session ended), characters. */
export const MAX_SELF_DESCRIPTION = 1_024;
/** The one in use and the one that will replace it. */
export const MOST_SEALING_KEYS = 2;
/**
 * No generation is higher: one for every microsecond of nine years. The next one is always still a number that can be
 * written down and read back, whatever a hub presents.
 */
export const MAX_GENERATION: number = 2 ** 48;
