// The protocol versions that this program speaks.

/** link.v1, first version. */
export const PROTOCOL_VERSION = 1;
