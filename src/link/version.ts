// What this program speaks, and the limits that are part of it.

/** link.v1, first version. */
export const PROTOCOL_VERSION = 1;
/** A Hello names no more logs. */
export const MOST_LOGS = 256;
/** A DigestRequest names no more flushes. */
export const MOST_DIGESTS = 4_096;
