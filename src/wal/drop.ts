// What goes when the log is full: the oldest flushes that wait, into gaps that say how many readings are gone.
import { type FlushRange, GapReason } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Op } from '../storage/store.js';
import type { Books } from './books.js';
import { extendGap, type GapChange, type GapMaker, gapOps } from './gaps.js';
import type { LogState } from './log-state.js';
import { type FlushRecord, flushKey } from './records.js';

export interface Drop {
  readonly ops: readonly Op[];
  readonly flushes: readonly { readonly log: LogState; readonly flush: FlushRecord }[];
  readonly gaps: readonly GapChange[];
}

const NOTHING: Drop = { ops: [], flushes: [], gaps: [] };
/** Dropped at once at least, so that a full log does not write a gap with every flush; at most 1/64 of the bound. */
const STEP_BYTES = 1024 * 1024;

/** Plans to make room for `incoming` bytes below `maxBytes`. Nothing is changed yet. */
export async function planDrop(
  books: Books,
  maker: GapMaker,
  scan: (log: LogState, range: FlushRange) => AsyncIterable<FlushRecord>,
  { maxBytes, incoming }: { readonly maxBytes: number; readonly incoming: number },
): Promise<Drop> {
  const over = books.backlogBytes + incoming - maxBytes;
  if (over <= 0) return NOTHING;
  const target = Math.max(over, Math.min(STEP_BYTES, maxBytes / 64));
  const flushes: { log: LogState; flush: FlushRecord }[] = [];
  const gaps: GapChange[] = [];
  let bytes = 0;
  for (const log of books.logs()) {
    for (const range of log.unacked.ranges()) {
      let [count, readingCount] = [0, 0];
      for await (const flush of scan(log, range)) {
        flushes.push({ log, flush });
        count += 1;
        readingCount += flush.readingCount;
        bytes += flush.size;
        if (bytes >= target) break;
      }
      const gone = { first: range.first, count };
      gaps.push(extendGap(maker, books, { log, range: gone, readingCount, reason: GapReason.LOG_FULL }));
      if (bytes >= target) return plan(flushes, gaps);
    }
  }
  return plan(flushes, gaps);
}

function plan(flushes: Drop['flushes'], gaps: readonly GapChange[]): Drop {
  const ops = [...flushes.map(({ log, flush }) => ({ del: flushKey(log.id, flush.number) })), ...gaps.flatMap(gapOps)];
  return { ops, flushes, gaps };
}
