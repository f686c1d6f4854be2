// All logs of this hub and what is outstanding of them, in memory: ranges and sums, never flushes. Nothing here touches
// the disk; journal.ts changes the books after, and only after, the same is durable.

import type { LogSummary } from '../../gen/occmesh/link/v1/link.js';
import type { FlushRange, Gap, Signed } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { view } from '../kernel/bytes.js';
import { type Duration, type EpochMs, epochMs } from '../kernel/duration.js';
import { RangeSet } from '../telemetry/ranges.js';
import type { LogState } from './log-state.js';
import { type MarkEntry, MOST_MARKED_LOGS } from './mark-file.js';
import { Recent } from './recent.js';
import type { FlushRecord } from './records.js';
import { Retention, type RetentionLimits } from './retention.js';

/** Logs that a Hello can name. */
const MOST_SUMMARIES = 256;

/** A gap that the cloud has not acknowledged, ready to be sent. */
export interface PendingGap {
  readonly gap: Gap;
  readonly signed: Signed;
}

export class Books {
  readonly retention: Retention;
  readonly recent = new Recent();
  /** The log that the next flush goes to; undefined when the next flush begins one. */
  open: LogState | undefined;
  /** Readings that wait for acknowledgement. */
  queuedReadings = 0;
  /** Bytes that they take in the store. */
  backlogBytes = 0;
  /** The oldest flush that waits. */
  oldest: { readonly log: LogState; readonly number: number; readonly at: EpochMs } | undefined;
  readonly #logs = new Map<string, LogState>();
  #gaps: PendingGap[] = [];

  constructor(limits: RetentionLimits) {
    this.retention = new Retention(limits);
  }

  /** Oldest first. Ids begin with their time of birth, and none is made that does not follow all others. */
  logs(): LogState[] {
    return [...this.#logs.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  log(id: Uint8Array): LogState | undefined {
    return this.#logs.get(view(id).toString('hex'));
  }

  addLog(log: LogState): void {
    this.#logs.set(log.name, log);
  }

  forgetLog(log: LogState): void {
    this.#logs.delete(log.name);
  }

  gaps(): readonly PendingGap[] {
    return this.#gaps;
  }

  gapsOf(log: LogState): PendingGap[] {
    return this.#gaps.filter(({ gap }) => log.id.equals(gap.log));
  }

  /** Takes in new gaps and lets go of others, keeping the logs' own view in step. */
  changeGaps({
    removed,
    added,
  }: {
    readonly removed: readonly PendingGap[];
    readonly added: readonly PendingGap[];
  }): void {
    this.#gaps = this.#gaps.filter((pending) => !removed.includes(pending)).concat(added);
    for (const id of new Set([...removed, ...added].map(({ gap }) => gap.log))) {
      const log = this.log(id);
      if (log) log.gaps = RangeSet.from(this.gapsOf(log).map(({ gap }) => rangeOfGap(gap)));
    }
  }

  /** The flush is here and owed. */
  owe(log: LogState, flush: Pick<FlushRecord, 'number' | 'readingCount' | 'size' | 'durableAt'>): void {
    log.unacked.add({ first: flush.number, count: 1 });
    this.queuedReadings += flush.readingCount;
    this.backlogBytes += flush.size;
    const { oldest } = this;
    const isOldest = !oldest || log.name < oldest.log.name || (log === oldest.log && flush.number < oldest.number);
    if (isOldest) this.oldest = { log, number: flush.number, at: flush.durableAt };
  }

  /** The flush is no longer owed, whatever else becomes of it. */
  settle(log: LogState, flush: Pick<FlushRecord, 'number' | 'readingCount' | 'size'>): void {
    log.unacked.remove({ first: flush.number, count: 1 });
    this.queuedReadings -= flush.readingCount;
    this.backlogBytes -= flush.size;
  }

  keep(log: LogState, flush: Pick<FlushRecord, 'number' | 'size'>, now: Duration): void {
    log.retained.add({ first: flush.number, count: 1 });
    this.retention.keep(log, flush.number, flush.size, now);
  }

  unkeep(log: LogState, flush: Pick<FlushRecord, 'number' | 'size'>): void {
    log.retained.remove({ first: flush.number, count: 1 });
    this.retention.release(log, flush.number, flush.size);
  }

  /** For Hello: the open log and what is owed come before what is settled, the newest before the oldest. */
  summaries(): LogSummary[] {
    const byNeed = this.logs()
      .filter((log) => log.next > 0)
      .reverse()
      .sort((a, b) => Number(b === this.open || !b.settled) - Number(a === this.open || !a.settled));
    const named = byNeed.slice(0, MOST_SUMMARIES).sort((a, b) => (a.name < b.name ? -1 : 1));
    return named.map((log) => log.summary(log === this.open));
  }

  /** For the mark file: all logs that could still lose something. */
  marks(): MarkEntry[] {
    return this.logs()
      .filter((log) => log === this.open || log.cut || !log.settled)
      .slice(-MOST_MARKED_LOGS)
      .map(({ id, next, chain, cut }) => ({ log: id, next, chain, cut }));
  }

  /** A time that no log here was born after. */
  latestBirth(): EpochMs {
    return epochMs(Math.max(0, ...[...this.#logs.values()].map(({ id }) => id.readUIntBE(0, 6))));
  }
}

export const rangeOfGap = ({ firstFlush, flushCount }: Gap): FlushRange => ({ first: firstFlush, count: flushCount });
