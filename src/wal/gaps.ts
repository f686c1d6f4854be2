// Making gaps: what is gone is said once, signed, with its reason. Gaps of one reason that touch are told as one, so that
// a log that has been full for days does not announce thousands.
import {
  type FlushRange,
  Gap,
  type GapReason,
  type Signed,
  Witness,
} from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { EpochMs } from '../kernel/duration.js';
import type { Op } from '../storage/store.js';
import { type Books, type PendingGap, rangeOfGap } from './books.js';
import type { LogState } from './log-state.js';
import { encodeGap, gapKey } from './records.js';

export interface GapMaker {
  readonly machineId: Buffer;
  readonly now: () => EpochMs;
  /** Signs under the domain tag of gaps. */
  readonly sign: (content: Uint8Array) => Signed;
}

export interface Missing {
  readonly log: LogState;
  readonly range: FlushRange;
  /** 0 when nobody knows. */
  readonly readingCount: number;
  readonly reason: GapReason;
}

/** Gaps to be written and others that they replace. */
export interface GapChange {
  readonly removed: readonly PendingGap[];
  readonly added: readonly PendingGap[];
}

export function makeGap(maker: GapMaker, { log, range, readingCount, reason }: Missing): PendingGap {
  const gap: Gap = {
    machineId: maker.machineId,
    log: log.id,
    firstFlush: range.first,
    flushCount: range.count,
    reason,
    noticedAtMs: maker.now(),
    witness: Witness.HUB,
    readingCount,
  };
  return { gap, signed: maker.sign(Gap.encode(gap).finish()) };
}

/** As makeGap, joined with a pending gap of the same reason that ends where this one begins. */
export function extendGap(maker: GapMaker, books: Books, missing: Missing): GapChange {
  const { range, readingCount, reason } = missing;
  const before = books
    .gapsOf(missing.log)
    .find(({ gap }) => gap.reason === reason && gap.firstFlush + gap.flushCount === range.first);
  if (!before) return { removed: [], added: [makeGap(maker, missing)] };
  const joined = {
    ...missing,
    range: { first: before.gap.firstFlush, count: before.gap.flushCount + range.count },
    // Unknown and known do not add up to known.
    readingCount: before.gap.readingCount > 0 && readingCount > 0 ? before.gap.readingCount + readingCount : 0,
  };
  return { removed: [before], added: [makeGap(maker, joined)] };
}

export function gapOps({ removed, added }: GapChange): Op[] {
  const key = ({ gap }: PendingGap) => gapKey(gap.log, gap.firstFlush, gap.flushCount);
  return [
    ...removed.map((pending) => ({ del: key(pending) })),
    ...added.map((pending) => ({ put: key(pending), value: encodeGap(pending.signed) })),
  ];
}

/** What is left of gaps outside `cut`, as new gaps; those that do not touch it stay as they are. */
export function cutGaps(maker: GapMaker, books: Books, log: LogState, cut: FlushRange): GapChange {
  const removed: PendingGap[] = [];
  const added: PendingGap[] = [];
  for (const pending of books.gapsOf(log)) {
    const range = rangeOfGap(pending.gap);
    const [end, cutEnd] = [range.first + range.count, cut.first + cut.count];
    if (end <= cut.first || range.first >= cutEnd) continue;
    removed.push(pending);
    const rests = [
      { first: range.first, count: cut.first - range.first },
      { first: cutEnd, count: end - cutEnd },
    ];
    for (const rest of rests) {
      if (rest.count > 0) added.push(makeGap(maker, { log, range: rest, readingCount: 0, reason: pending.gap.reason }));
    }
  }
  return { removed, added };
}
