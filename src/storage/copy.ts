// A consistent copy of a running store into another one: backup, and filling a new store from a salvaged one.
import type { Entry, Op, Store } from './store.js';

export interface CopyProgress {
  readonly entries: number;
  /** Of keys and values. */
  readonly bytes: number;
}

const BATCH_BYTES = 4 * 1024 * 1024;

/** Every key that a store can hold: commit() refuses those that begin with 0x00 or 0xff. */
export const EVERYTHING = { from: Buffer.of(0x01), until: Buffer.of(0xff) };

/**
 * Copies all entries as of one moment; `from` may go on being written to. When the promise resolves, the copy is
 * durable. `to` should be new: what it already holds stays. When it rejects, `to` holds a part and is to be thrown away.
 * Faults: those of Store.entries and Store.commit.
 */
export async function copyStore(
  from: Pick<Store, 'entries'>,
  to: Store,
  onProgress: (progress: CopyProgress) => void = () => undefined,
): Promise<CopyProgress> {
  return await copyEntries(from.entries(EVERYTHING), to, onProgress);
}

/** As copyStore, for entries from anywhere. */
export async function copyEntries(
  entries: AsyncIterable<Entry>,
  to: Store,
  onProgress: (progress: CopyProgress) => void = () => undefined,
): Promise<CopyProgress> {
  let progress: CopyProgress = { entries: 0, bytes: 0 };
  let batch: Op[] = [];
  let batchBytes = 0;
  const write = async () => {
    const ops = batch;
    progress = { entries: progress.entries + ops.length, bytes: progress.bytes + batchBytes };
    batch = [];
    batchBytes = 0;
    await to.commit(() => ops);
    onProgress(progress);
  };
  for await (const { key, value } of entries) {
    batch.push({ put: key, value });
    batchBytes += key.length + value.length;
    if (batchBytes >= BATCH_BYTES) await write();
  }
  if (batch.length > 0) await write();
  return progress;
}
