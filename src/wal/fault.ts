// What can go wrong with the hub's log, as one union. Faults of the store underneath (storage.in-use,
// storage.unusable) pass through as they are.
import { Fault } from '../kernel/fault.js';

export type WalCode =
  /** Nothing of the append counts (disk full, I/O error). Trying the same readings again later is right. */
  | 'wal.write-failed'
  /** The directory holds the log of another machine. */
  | 'wal.foreign'
  /** It has been stopped. */
  | 'wal.closed'
  /** It was written by a later version of the program. */
  | 'wal.newer'
  /** No such log here. */
  | 'wal.unknown-log';

export class WalFault extends Fault<WalCode> {}
