// The key-value port: what the mesh asks of a store, and nothing more. Implementations stand beside this file and all
// run the suite in test/contract/store-suite.ts.
import { Fault } from '../kernel/fault.js';
import type { Stoppable } from '../kernel/scope.js';

export type StorageCode =
  /** Another process has it open. */
  | 'storage.in-use'
  /** What was read back is not what was written, or commits are missing. */
  | 'storage.damaged'
  /** A write failed (disk full, I/O error); nothing of it counts. Trying again later is right. */
  | 'storage.write-failed'
  /** It cannot be opened (permissions, not a directory). */
  | 'storage.unusable'
  /** It has been closed. */
  | 'storage.closed';

export class StorageFault extends Fault<StorageCode> {}

export type Op = { readonly put: Uint8Array; readonly value: Uint8Array } | { readonly del: Uint8Array };

export interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
}

export interface Range {
  /** First key included, in unsigned byte order. */
  readonly from: Uint8Array;
  /** First key after `from` not included. */
  readonly until: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
}

export interface Store extends Stoppable {
  /**
   * The value, or undefined when there is none. Faults: storage.damaged (its checksum is wrong), storage.closed;
   * storage.write-failed while the store cannot be reopened after a failed write.
   */
  get(key: Uint8Array): Promise<Buffer | undefined>;

  /** Entries in key order as of one moment. Faults as for get; storage.damaged at the entry that is. */
  entries(range: Range): AsyncIterable<Entry>;

  /**
   * Writes atomically and durably: when the promise resolves, the write survives power loss; when it rejects, nothing
   * of it counts. Concurrent commits share one synced write (group commit), in the order of their calls.
   *
   * `build` is called synchronously just before the shared write, after the builds of all earlier commits: what it
   * checks cannot change before its own operations take effect. It may return nothing, to write nothing. What it
   * throws rejects this commit only.
   *
   * After a failed write the store reopens itself, and where that fails tries it again with every commit and every
   * read; then every `onReset` listener is awaited (whoever keeps state that its builds changed reads it again), and
   * only then the next group is built. Faults: storage.write-failed, storage.closed.
   */
  commit(build: () => readonly Op[] | undefined): Promise<void>;

  /** Registers a listener for the moment after a failed write; returns its removal. */
  onReset(listener: () => Promise<void>): () => void;

  /**
   * Gives back what was deleted in a range, as far as that can be done at once; reads and writes go on meanwhile. Faults as
   * for get.
   */
  reclaim(range: Pick<Range, 'from' | 'until'>): Promise<void>;

  /** Bytes on disk, roughly. */
  size(): Promise<number>;
}
