// One opened store with its books: every operation on the log, one at a time. Wal (wal.ts) queues them, keeps space aside
// and replaces a journal whose store turns out to be damaged.
//
// Order of every change: plan it from the books, commit it to the store, then change the books. A flush counts once the
// mark (mark-file.ts) is written after its commit; until then the books do not know it.
import {
  type FlushRange,
  type GapReason,
  GapReason as Reason,
  type Signed,
} from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock } from '../kernel/clock.js';
import { type Duration, type EpochMs, epochMs } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';
import { type Random, uuid7 } from '../kernel/random.js';
import { type Op, StorageFault, type Store } from '../storage/store.js';
import { chainNext, chainStart } from '../telemetry/chain.js';
import { RangeSet } from '../telemetry/ranges.js';
import { canonicalOrder, type Reading } from '../telemetry/reading.js';
import { type Books, rangeOfGap } from './books.js';
import { type Drop, planDrop } from './drop.js';
import { WalFault } from './fault.js';
import { type GapChange, type GapMaker, gapOps, makeGap } from './gaps.js';
import { loadBooks } from './load.js';
import { LogState } from './log-state.js';
import type { MarkFile } from './mark-file.js';
import { planReappend } from './reappend.js';
import type { StoredFlush } from './recent.js';
import * as records from './records.js';
import type { Bucket, RetentionLimits } from './retention.js';
import { Tombstones } from './tombstones.js';

export interface JournalOptions {
  /** The hub, 16 bytes. */
  readonly machineId: Buffer;
  /** Bytes of flushes that the log may hold. */
  readonly maxBytes: number;
  readonly heal: RetentionLimits;
  /** How long a log is remembered after the last of it was acknowledged. */
  readonly tombstones: Duration;
}

export interface JournalModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Signs a serialised Gap under its domain tag. */
  readonly signGap: (content: Uint8Array) => Signed;
}

/** A flush that will survive. */
export interface DurableFlush {
  /** The log, 16 bytes. */
  readonly log: Buffer;
  /** Its number in the log. */
  readonly flush: number;
  /** In canonical order. */
  readonly readings: readonly Reading[];
  /** Digest of the log after it, 16 bytes. */
  readonly chain: Buffer;
}

export interface ReadBounds {
  readonly maxReadings: number;
  /** Of encoded readings as they lie in the store. */
  readonly maxBytes: number;
  /** First flush not wanted. */
  readonly until: number;
}

/** Flushes that one acknowledgement step looks up. */
const ACK_STEP = 2_000;

export class Journal {
  /** Readings dropped into gaps since it was opened. */
  droppedReadings = 0;
  readonly #tombstones: Tombstones;
  readonly #gapMaker: GapMaker;
  /** The log that the next flush begins: kept over failed appends, so that a retry writes the same keys. */
  #candidate: LogState | undefined;
  /** Flushes that may be in the store and do not count, since their append failed. */
  #uncounted: Buffer[] = [];
  readonly #scan = (log: LogState, range: FlushRange) => scan(this.store, log, range);

  private constructor(
    readonly books: Books,
    private readonly store: Store,
    private readonly mark: MarkFile,
    private readonly options: JournalOptions,
    private readonly modules: JournalModules,
  ) {
    this.#tombstones = new Tombstones(books, options.tombstones, modules.clock);
    this.#gapMaker = { machineId: options.machineId, now: () => modules.clock.now(), sign: modules.signGap };
  }

  /** Loads what is there; what is missing becomes a gap. Faults: storage.*, wal.foreign, wal.newer. */
  static async open(store: Store, mark: MarkFile, options: JournalOptions, modules: JournalModules): Promise<Journal> {
    const machine = await store.get(records.MACHINE_KEY);
    const owner = machine ? records.decodeMachine(machine) : mark.latest?.machineId;
    if (owner && !owner.equals(options.machineId)) {
      throw new WalFault('wal.foreign', `this log was written by machine ${owner.toString('hex')}`, {
        permanent: true,
        advice: 'Give each machine a data directory of its own.',
      });
    }
    const { books, leftovers } = await loadBooks(store, mark.latest, options.heal, modules.clock.monotonic());
    const journal = new Journal(books, store, mark, options, modules);
    const lost = journal.#lost();
    const ops: Op[] = [...leftovers.map((del) => ({ del })), ...gapOps(lost)];
    if (!machine) ops.push({ put: records.MACHINE_KEY, value: records.encodeMachine(options.machineId) });
    if (ops.length > 0) await journal.#commit(ops);
    books.changeGaps(lost);
    return journal;
  }

  get uncounted(): readonly Buffer[] {
    return this.#uncounted;
  }

  /** Lets the store recover from a failed write. Faults: storage.write-failed while it cannot, storage.damaged. */
  async revive(): Promise<void> {
    await this.store.commit(() => undefined);
  }

  async append(readings: readonly Reading[]): Promise<DurableFlush> {
    const { books, options, modules } = this;
    const log = books.open ?? this.#begin();
    const ordered = canonicalOrder(readings);
    const chain = chainNext(log.chain ?? chainStart(log.id), ordered);
    const durableAt = modules.clock.now();
    const [number, readingCount] = [log.next, ordered.length];
    const columns = records.encodeReadings(number, ordered);
    const value = records.encodeFlush({ chain, durableAt, readingCount }, columns);
    const key = records.flushKey(log.id, number);

    const freed = this.#freedFor(value.length);
    const room = { maxBytes: options.maxBytes, incoming: value.length };
    const drop = await planDrop(books, this.#gapMaker, this.#scan, room);
    // Whatever fails from here on: this record may be on disk, and must not turn up besides its repetition.
    this.#uncounted.push(key);
    await this.#commit([...freed.flatMap(bucketOps), ...drop.ops, { put: key, value }], key);
    for (const bucket of freed) this.#freed(bucket);
    if (drop.flushes.length > 0) await this.#dropped(drop);

    try {
      await this.#writeMark({ log: log.id, next: number + 1, chain, cut: false });
    } catch (thrown) {
      throw new WalFault('wal.write-failed', 'the mark beside the log could not be written', { cause: thrown });
    }
    this.#uncounted = [];
    log.next = number + 1;
    log.chain = chain;
    this.#adopt(log);
    books.owe(log, { number, readingCount, size: value.length, durableAt });
    books.recent.add(log.name, { number, readings: ordered, chain, durableAt, size: value.length });
    return { log: log.id, flush: number, readings: ordered, chain };
  }

  /** Contiguous flushes from `from` on; none when that one is not here; at least one when it is. */
  async read(id: Uint8Array, from: number, bounds: ReadBounds): Promise<StoredFlush[]> {
    const log = this.books.log(id);
    const flushes: StoredFlush[] = [];
    if (!log?.isHere(from) || from >= bounds.until) return flushes;
    const here = log.unacked.union(log.retained).within({ first: from, count: bounds.until - from });
    const range = here.toProto()[0];
    if (!range) return flushes;
    let [readings, bytes] = [0, 0];
    for await (const record of this.#withReadings(log, range)) {
      readings += record.readings.length;
      bytes += record.size;
      if (flushes.length > 0 && (readings > bounds.maxReadings || bytes > bounds.maxBytes)) break;
      flushes.push(record);
    }
    return flushes;
  }

  /** Takes in a part of what the cloud holds, and returns what is left to be taken in. */
  async ack(id: Uint8Array, ranges: RangeSet): Promise<RangeSet> {
    const log = this.books.log(id);
    if (!log) return new RangeSet();
    const all = ranges.intersect(RangeSet.span(0, log.next));
    const mine = firstFlushes(all, log.unacked, ACK_STEP);
    const now = this.modules.clock.monotonic();
    for (const range of log.unacked.intersect(mine).ranges()) {
      for await (const flush of this.#headers(log, range)) {
        this.books.settle(log, flush);
        log.acked.add({ first: flush.number, count: 1 });
        this.books.keep(log, flush, now);
      }
    }
    log.acked.addAll(mine);
    log.gone.removeAll(mine);
    log.dirty = true;
    await this.#refreshOldest();
    // Data replaces a gap.
    const removed = this.books.gapsOf(log).filter(({ gap }) => log.acked.contains(rangeOfGap(gap)));
    if (removed.length > 0) await this.#changeGaps({ removed, added: [] });
    return all.subtract(mine);
  }

  /** Owed again, as far as it is still here; returns what is not. */
  async restore(id: Uint8Array, ranges: RangeSet): Promise<RangeSet> {
    const log = this.books.log(id);
    if (!log) return ranges.clone();
    const wanted = ranges.intersect(RangeSet.span(0, log.next));
    for (const range of log.retained.intersect(wanted).ranges()) {
      for await (const flush of this.#headers(log, range)) {
        this.books.unkeep(log, flush);
        log.acked.remove({ first: flush.number, count: 1 });
        this.books.owe(log, flush);
      }
    }
    log.dirty = true;
    return wanted.subtract(log.unacked).subtract(log.gaps);
  }

  /** Digest after `flush`; undefined when it is not known here. */
  async chainAt(id: Uint8Array, flush: number): Promise<Buffer | undefined> {
    const log = this.books.log(id);
    if (!log || flush < -1) return undefined;
    if (flush === -1) return chainStart(log.id);
    if (flush === log.next - 1) return log.chain;
    const recent = this.books.recent.get(log.name, flush);
    if (recent || !log.isHere(flush)) return recent?.chain;
    for await (const { chain } of this.#scan(log, { first: flush, count: 1 })) return Buffer.from(chain);
    return undefined;
  }

  /** A gap for what is not here of `range`; does nothing when all of it is here or in gaps already. */
  async addGap(id: Uint8Array, range: FlushRange, reason: GapReason): Promise<void> {
    const log = this.#known(id);
    const missing = RangeSet.from([range]).intersect(RangeSet.span(0, log.next));
    for (const told of [log.unacked, log.retained, log.gaps]) missing.removeAll(told);
    if (missing.size === 0) return;
    const added = [...missing.ranges()].map((part) =>
      makeGap(this.#gapMaker, { log, range: part, readingCount: 0, reason }),
    );
    const after = { acked: log.acked.subtract(missing), gone: log.gone.subtract(missing) };
    await this.#changeGaps({ removed: [], added }, log, after);
  }

  /** The cloud has the gaps inside `range` on record. */
  async gapAcked(id: Uint8Array, range: FlushRange): Promise<void> {
    const log = this.books.log(id);
    if (!log) return;
    const told = RangeSet.from([range]);
    const removed = this.books.gapsOf(log).filter(({ gap }) => told.contains(rangeOfGap(gap)));
    if (removed.length === 0) return;
    const gone = log.gone.union(RangeSet.from(removed.map(({ gap }) => rangeOfGap(gap))));
    gone.removeAll(log.unacked);
    await this.#changeGaps({ removed, added: [] }, log, { gone });
  }

  /** The open log is closed; the next flush begins another. */
  closeLog(): void {
    this.books.open = undefined;
    this.#candidate = undefined;
  }

  /** Moves what is owed of a log from flush `from` on to the end of the open log, or of a new one. */
  async reappend(id: Uint8Array, from: number): Promise<void> {
    const { books } = this;
    const old = this.#known(id);
    if (old === books.open) this.closeLog();
    if (from >= old.next) return;
    const to = books.open ?? this.#begin();
    const plan = await planReappend(books, this.#gapMaker, this.#scan, { old, from, to });
    await this.#commit([...plan.ops, { put: records.logKey(old.id), value: records.encodeLog(plan.old) }]);
    for (const { old: record } of plan.moved) books.settle(old, record);
    Object.assign(old, plan.old);
    Object.assign(to, { next: plan.next, chain: plan.chain });
    if (plan.next > 0) this.#adopt(to);
    for (const { now } of plan.moved) books.owe(to, now);
    for (const change of plan.gaps) books.changeGaps(change);
    books.recent.clear();
    await this.#refreshOldest();
    await this.#writeMark();
  }

  /** One bounded step of keeping house: deletes what need not be kept. True when there is more to do at once. */
  async tidy(): Promise<boolean> {
    this.#tombstones.update();
    const expired = this.#tombstones.expired();
    if (expired.length > 0) {
      // First the mark, which would otherwise miss their flushes.
      for (const log of expired) this.books.forgetLog(log);
      await this.#writeMark();
    }
    const now = this.modules.clock.monotonic();
    const bucket = this.books.retention.due(now);
    const idle = !bucket && expired.length === 0 && !this.books.logs().some(({ dirty }) => dirty);
    if (idle && this.#uncounted.length === 0) return false;
    await this.#commit([
      ...expired.map(({ id }) => ({ del: records.logKey(id) })),
      ...(bucket ? bucketOps(bucket) : []),
    ]);
    if (bucket) this.#freed(bucket);
    return this.books.retention.due(now) !== undefined;
  }

  /** Deletes a part of what is kept for healing, to get space; false when there is none. */
  async freeOldest(): Promise<boolean> {
    const bucket = this.books.retention.oldest();
    if (!bucket) return false;
    await this.#commit(bucketOps(bucket));
    this.#freed(bucket);
    return true;
  }

  /** The log of the next flush, with an id that sorts behind all others even if the clock went back. */
  #begin(): LogState {
    const { clock, random } = this.modules;
    this.#candidate ??= new LogState(uuid7(random, epochMs(Math.max(clock.now(), this.books.latestBirth() + 1))));
    return this.#candidate;
  }

  #adopt(log: LogState): void {
    this.books.addLog(log);
    this.books.open = log;
    this.#candidate = undefined;
  }

  #known(id: Uint8Array): LogState {
    const log = this.books.log(id);
    if (log) return log;
    throw new WalFault('wal.unknown-log', `there is no log ${Buffer.from(id).toString('hex')}`, { permanent: true });
  }

  /** What has been here and nobody can account for, as gaps. */
  #lost(): GapChange {
    const added = this.books.logs().flatMap((log) =>
      [...log.unaccounted().ranges()].map((range) => {
        this.modules.log.warn({ walLog: log.name, ...range }, 'flushes are missing from the log: they become a gap');
        return makeGap(this.#gapMaker, { log, range, readingCount: 0, reason: Reason.STORE_DAMAGED });
      }),
    );
    return { removed: [], added };
  }

  /** What has to go of what is kept for healing, so that `incoming` bytes fit. */
  #freedFor(incoming: number): Bucket[] {
    const { backlogBytes, retention } = this.books;
    return retention.beyond(Math.max(0, this.options.maxBytes - backlogBytes - incoming));
  }

  #freed(bucket: Bucket): void {
    this.books.retention.remove(bucket);
    bucket.log.retained.removeAll(bucket.flushes);
  }

  async #dropped({ flushes, gaps }: Drop): Promise<void> {
    let readings = 0;
    for (const { log, flush } of flushes) {
      this.books.settle(log, flush);
      readings += flush.readingCount;
    }
    for (const change of gaps) this.books.changeGaps(change);
    this.droppedReadings += readings;
    this.modules.log.warn({ flushes: flushes.length, readings }, 'the log is full: the oldest readings were dropped');
    await this.#refreshOldest();
  }

  async #changeGaps(change: GapChange, log?: LogState, after: Partial<records.LogRecord> = {}): Promise<void> {
    const ops = gapOps(change);
    if (log) {
      ops.push({ put: records.logKey(log.id), value: records.encodeLog({ ...log.record(), ...after }) });
    }
    await this.#commit(ops);
    if (log) Object.assign(log, after);
    this.books.changeGaps(change);
  }

  /** Also writes what is out of date, and deletes flushes that do not count; `attempt` may come to count. */
  async #commit(ops: readonly Op[], attempt?: Buffer): Promise<void> {
    const dirty = this.books.logs().filter((log) => log.dirty);
    await this.store.commit(() => [
      ...this.#uncounted.map((del) => ({ del })),
      ...dirty.map((log) => ({ put: records.logKey(log.id), value: records.encodeLog(log.record()) })),
      ...ops,
    ]);
    this.#uncounted = attempt ? [attempt] : [];
    for (const log of dirty) log.dirty = false;
  }

  /** With `changed` in place of what the books say of that log. */
  async #writeMark(changed?: ReturnType<Books['marks']>[number]): Promise<void> {
    const entries = this.books.marks().filter(({ log }) => !changed?.log.equals(log));
    if (changed) entries.push(changed);
    await this.mark.write({ machineId: this.options.machineId, entries });
  }

  async #refreshOldest(): Promise<void> {
    const log = this.books.logs().find(({ unacked }) => unacked.size > 0);
    const number = log?.unacked.first;
    const known = this.books.oldest;
    if (log && number !== undefined && known?.log === log && known.number === number) return;
    this.books.oldest = undefined;
    if (!log || number === undefined) return;
    for await (const { durableAt } of this.#headers(log, { first: number, count: 1 })) {
      this.books.oldest = { log, number, at: durableAt };
    }
  }

  /** Sizes and counts, from memory where they are recent. */
  async *#headers(
    log: LogState,
    range: FlushRange,
  ): AsyncGenerator<{ number: number; size: number; readingCount: number; durableAt: EpochMs }> {
    let first = range.first;
    const end = range.first + range.count;
    while (first < end) {
      const recent = this.books.recent.get(log.name, first);
      if (!recent) break;
      yield { ...recent, readingCount: recent.readings.length };
      first += 1;
    }
    if (first < end) yield* this.#scan(log, { first, count: end - first });
  }

  async *#withReadings(log: LogState, { first, count }: FlushRange): AsyncGenerator<StoredFlush> {
    let at = first;
    for (; at < first + count; at++) {
      const recent = this.books.recent.get(log.name, at);
      if (!recent) break;
      yield recent;
    }
    if (at === first + count) return;
    for await (const record of this.#scan(log, { first: at, count: first + count - at })) {
      const { number, durableAt, size } = record;
      yield { number, durableAt, size, chain: Buffer.from(record.chain), readings: records.readingsOf(record) };
    }
  }
}

/** The flushes of `range`, all of them. Faults: storage.damaged when one is missing that the books say is there. */
async function* scan(store: Store, log: LogState, range: FlushRange): AsyncGenerator<records.FlushRecord> {
  const end = range.first + range.count;
  let next = range.first;
  for await (const entry of store.entries({
    from: records.flushKey(log.id, range.first),
    until: records.flushKey(log.id, end),
  })) {
    const record = records.decodeFlush(entry);
    if (record.number !== next) break;
    next += 1;
    yield record;
  }
  if (next < end) throw new StorageFault('storage.damaged', `flush ${next} of log ${log.name} is missing`);
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

function bucketOps({ log, flushes }: Bucket): Op[] {
  return [...flushes.flushes()].map((number) => ({ del: records.flushKey(log.id, number) }));
}
