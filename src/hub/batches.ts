// Which flushes of a log travel together.
import type { StoredFlush } from '../wal/wal.js';

/** A batch is closed at whichever comes first. */
export const BATCH_READINGS = 1_000;
export const BATCH_BYTES: number = 48 * 1024;

export interface Taken {
  readonly batch: readonly StoredFlush[];
  /** Nothing more fits. */
  readonly isFull: boolean;
}

/** The contiguous flushes at the beginning that fit one batch; at least one, if there is one. */
export function takeBatch(flushes: readonly StoredFlush[], mostReadings: number): Taken {
  const batch: StoredFlush[] = [];
  let [readings, bytes] = [0, 0];
  for (const flush of flushes) {
    const previous = batch.at(-1);
    readings += flush.readingCount;
    bytes += flush.size;
    const isTooMuch = readings > mostReadings || bytes > BATCH_BYTES;
    if (previous && (flush.number !== previous.number + 1 || isTooMuch)) return { batch, isFull: true };
    batch.push(flush);
  }
  return { batch, isFull: readings >= mostReadings || bytes >= BATCH_BYTES };
}

/** Number of the flush after the last. */
export const batchEnd = (batch: readonly StoredFlush[]): number => (batch.at(-1)?.number ?? -1) + 1;

/** How many flushes like these fit a batch. */
export function flushesThatFit(batch: readonly StoredFlush[], batchReadings: number): number {
  const readings = batch.reduce((sum, flush) => sum + flush.readingCount, 0);
  const bytes = batch.reduce((sum, flush) => sum + flush.size, 0);
  const fit = batch.length * Math.min(batchReadings / Math.max(1, readings), BATCH_BYTES / Math.max(1, bytes));
  return Math.min(4_096, Math.max(1, Math.floor(fit)));
}
