// Writing the end of a parted log again under another log: two machines believed to be the author of the same log (a
// machine resumed from a snapshot, a clone), the cloud has the other one's flushes under these numbers, so ours need
// new ones.
//
// One commit deletes the old records and writes the new ones, so that no crash loses or doubles a flush. What the cloud
// has acknowledged stays where it is. Gaps move too: their flushes count as empty in the new log's chain.
import type { FlushRange, Gap } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Op } from '../storage/store.js';
import { chainNext, chainStart } from '../telemetry/chain.js';
import { RangeSet } from '../telemetry/ranges.js';
import { type Books, rangeOfGap } from './books.js';
import { cutGaps, type GapChange, type GapMaker, gapOps, makeGap } from './gaps.js';
import type { LogState } from './log-state.js';
import { encodeFlush, type FlushRecord, flushKey, type LogRecord, readingsOf } from './records.js';

export interface Reappend {
  readonly ops: readonly Op[];
  readonly moved: readonly { readonly old: FlushRecord; readonly now: FlushRecord }[];
  readonly gaps: readonly GapChange[];
  /** What becomes of the parted log. */
  readonly old: LogRecord;
  /** The end of the log that goes on. */
  readonly next: number;
  readonly chain: Buffer;
}

type Scan = (log: LogState, range: FlushRange) => AsyncIterable<FlushRecord>;

/** Plans to move what is owed of `old` from flush `from` on to the end of `to`. Keeps the moved flushes in memory. */
export async function planReappend(
  books: Books,
  maker: GapMaker,
  scan: Scan,
  { old, from, to }: { readonly old: LogState; readonly from: number; readonly to: LogState },
): Promise<Reappend> {
  const tail = { first: from, count: old.next - from };
  const moved: { old: FlushRecord; now: FlushRecord }[] = [];
  const gaps: GapChange[] = [cutGaps(maker, books, old, tail)];
  const ops: Op[] = [];
  let [next, chain] = [to.next, to.chain ?? chainStart(to.id)];
  for (const { range, gap } of segments(books, old, tail)) {
    if (gap) {
      const readingCount = gap.flushCount === range.count ? gap.readingCount : 0;
      const missing = { log: to, range: { first: next, count: range.count }, readingCount, reason: gap.reason };
      gaps.push({ removed: [], added: [makeGap(maker, missing)] });
      for (let i = 0; i < range.count; i++) chain = chainNext(chain, []);
      next += range.count;
      continue;
    }
    for await (const record of scan(old, range)) {
      chain = chainNext(chain, readingsOf(record));
      const now: FlushRecord = { ...record, log: to.id, number: next, chain };
      ops.push({ del: flushKey(old.id, record.number) });
      ops.push({ put: flushKey(to.id, next), value: encodeFlush(now) });
      moved.push({ old: record, now });
      next += 1;
    }
  }
  const record = await cutRecord(old, tail, scan);
  return { ops: [...ops, ...gaps.flatMap(gapOps)], moved, gaps, old: record, next, chain };
}

/** What is owed inside `tail`, in order: stretches of flushes, and of gaps. */
function segments(books: Books, log: LogState, tail: FlushRange): { range: FlushRange; gap?: Gap }[] {
  const found: { range: FlushRange; gap?: Gap }[] = [...log.unacked.within(tail).ranges()].map((range) => ({ range }));
  const told = log.unacked.clone();
  for (const { gap } of books.gapsOf(log)) {
    const rest = RangeSet.from([rangeOfGap(gap)])
      .within(tail)
      .subtract(told);
    told.addAll(rest);
    for (const range of rest.ranges()) found.push({ range, gap });
  }
  return found.sort((a, b) => a.range.first - b.range.first);
}

/** The parted log as it stays: it ends behind the last flush that the cloud acknowledged as ours. */
async function cutRecord(log: LogState, tail: FlushRange, scan: Scan): Promise<LogRecord> {
  const next = Math.max(tail.first, log.acked.end, log.gone.end);
  const gone = log.gone.union(log.unacked.union(log.gaps).within(tail).intersect(RangeSet.span(0, next)));
  return { next, chain: await chainBefore(log, next, scan), cut: true, settledAt: undefined, acked: log.acked, gone };
}

async function chainBefore(log: LogState, next: number, scan: Scan): Promise<Buffer | undefined> {
  if (next === 0) return chainStart(log.id);
  if (next === log.next) return log.chain;
  if (!log.isHere(next - 1)) return undefined;
  for await (const { chain } of scan(log, { first: next - 1, count: 1 })) return Buffer.from(chain);
  return undefined;
}
