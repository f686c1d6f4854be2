// What becomes of flushes after they are durable: acknowledged, owed again, told to be gone.
import type { FlushRange, GapReason } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock } from '../kernel/clock.js';
import { RangeSet } from '../telemetry/ranges.js';
import { type Books, rangeOfGap } from './books.js';
import type { Disk } from './disk.js';
import { WalFault } from './fault.js';
import { type GapChange, type GapMaker, gapOps, makeGap } from './gaps.js';
import type { LogState } from './log-state.js';
import type { Reader } from './reader.js';
import { encodeLog, type LogRecord, logKey } from './records.js';

/** Flushes that one acknowledgement step looks up. */
const ACK_STEP = 2_000;

export interface SettlementModules {
  readonly books: Books;
  readonly disk: Disk;
  readonly reader: Reader;
  readonly gapMaker: GapMaker;
  readonly clock: Clock;
}

export class Settlement {
  constructor(private readonly modules: SettlementModules) {}

  /** Takes in a part of what the cloud holds, and returns what is left to be taken in. */
  async ack(id: Uint8Array, ranges: RangeSet): Promise<RangeSet> {
    const { books, reader, clock } = this.modules;
    const log = books.log(id);
    if (!log) return new RangeSet();
    const all = ranges.intersect(RangeSet.span(0, log.next));
    const mine = firstFlushes(all, log.unacked, ACK_STEP);
    const now = clock.monotonic();
    for (const range of log.unacked.intersect(mine).ranges()) {
      for await (const flush of reader.headers(log, range)) {
        books.settle(log, flush);
        log.acked.add({ first: flush.number, count: 1 });
        books.keep(log, flush, now);
      }
    }
    log.acked.addAll(mine);
    log.gone.removeAll(mine);
    log.dirty = true;
    await this.refreshOldest();
    // Data replaces a gap.
    const removed = books.gapsOf(log).filter(({ gap }) => log.acked.contains(rangeOfGap(gap)));
    if (removed.length > 0) await this.#changeGaps(log, { removed, added: [] });
    return all.subtract(mine);
  }

  /** Owed again, as far as it is still here; returns what is neither here nor in gaps. */
  async restore(id: Uint8Array, ranges: RangeSet): Promise<RangeSet> {
    const { books, reader } = this.modules;
    const log = books.log(id);
    if (!log) return ranges.clone();
    const wanted = ranges.intersect(RangeSet.span(0, log.next));
    for (const range of log.retained.intersect(wanted).ranges()) {
      for await (const flush of reader.headers(log, range)) {
        books.unkeep(log, flush);
        log.acked.remove({ first: flush.number, count: 1 });
        books.owe(log, flush);
      }
    }
    log.dirty = true;
    return wanted.subtract(log.unacked).subtract(log.gaps);
  }

  /** A gap for what is not here of `range`; does nothing when all of it is here or in gaps already. */
  async addGap(id: Uint8Array, range: FlushRange, reason: GapReason): Promise<void> {
    const log = this.known(id);
    const missing = RangeSet.from([range]).intersect(RangeSet.span(0, log.next));
    for (const told of [log.unacked, log.retained, log.gaps]) missing.removeAll(told);
    if (missing.size === 0) return;
    const { gapMaker } = this.modules;
    const added = [...missing.ranges()].map((part) => makeGap(gapMaker, { log, range: part, readingCount: 0, reason }));
    const after = { acked: log.acked.subtract(missing), gone: log.gone.subtract(missing) };
    await this.#changeGaps(log, { removed: [], added }, after);
  }

  /** The cloud has the gaps inside `range` on record. */
  async gapAcked(id: Uint8Array, range: FlushRange): Promise<void> {
    const { books } = this.modules;
    const log = books.log(id);
    if (!log) return;
    const told = RangeSet.from([range]);
    const removed = books.gapsOf(log).filter(({ gap }) => told.contains(rangeOfGap(gap)));
    if (removed.length === 0) return;
    const gone = log.gone.union(RangeSet.from(removed.map(({ gap }) => rangeOfGap(gap))));
    gone.removeAll(log.unacked);
    await this.#changeGaps(log, { removed, added: [] }, { gone });
  }

  /** Faults: wal.unknown-log. */
  known(id: Uint8Array): LogState {
    const log = this.modules.books.log(id);
    if (log) return log;
    throw new WalFault('wal.unknown-log', `there is no log ${Buffer.from(id).toString('hex')}`, { permanent: true });
  }

  /** To be called when the oldest flush that waited may no longer do so. */
  async refreshOldest(): Promise<void> {
    const { books, reader } = this.modules;
    const log = books.logs().find(({ unacked }) => unacked.size > 0);
    const number = log?.unacked.first;
    const known = books.oldest;
    if (log && number !== undefined && known?.log === log && known.number === number) return;
    books.oldest = undefined;
    if (!log || number === undefined) return;
    for await (const { durableAt } of reader.headers(log, { first: number, count: 1 })) {
      books.oldest = { log, number, at: durableAt };
    }
  }

  async #changeGaps(log: LogState, change: GapChange, after: Partial<LogRecord> = {}): Promise<void> {
    const record = { put: logKey(log.id), value: encodeLog({ ...log.record(), ...after }) };
    await this.modules.disk.commit([...gapOps(change), record]);
    Object.assign(log, after);
    this.modules.books.changeGaps(change);
  }
}

/** The part of `all` that names no more than `limit` flushes of `costly`; the rest of `all` is free. */
function firstFlushes(all: RangeSet, costly: RangeSet, limit: number): RangeSet {
  const part = all.subtract(costly);
  let left = limit;
  for (const { first, count } of all.intersect(costly).ranges()) {
    if (left > 0) part.add({ first, count: Math.min(count, left) });
    left -= count;
  }
  return part;
}
