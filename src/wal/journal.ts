// One opened store with its books: writing flushes, moving them, and keeping house. What becomes of them later is in
// settlement.ts, reading them back in reader.ts. Keeper (keeper.ts) sees to it that one operation runs at a time, and
// replaces a journal whose store turns out to be damaged.
//
// Order of every change: plan it from the books, make it durable, then change the books. A flush counts once the mark
// (mark-file.ts) is written after its commit; until then the books do not know it.
import { GapReason, type Signed } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock } from '../kernel/clock.js';
import { type Duration, epochMs } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';
import { type Random, uuid7 } from '../kernel/random.js';
import type { Op, Store } from '../storage/store.js';
import { encodeFlushes, valuesOf } from '../telemetry/batch.js';
import { chainNext, chainStart } from '../telemetry/chain.js';
import { canonicalOrder, type Reading } from '../telemetry/reading.js';
import type { Books } from './books.js';
import { Disk } from './disk.js';
import { type Drop, planDrop } from './drop.js';
import { WalFault } from './fault.js';
import { type GapChange, type GapMaker, gapOps, makeGap } from './gaps.js';
import { loadBooks } from './load.js';
import { LogState } from './log-state.js';
import type { MarkEntry, MarkFile } from './mark-file.js';
import { Reader } from './reader.js';
import { planReappend } from './reappend.js';
import { decodeMachine, encodeFlush, encodeLog, encodeMachine, flushKey, logKey, MACHINE_KEY } from './records.js';
import type { Bucket, RetentionLimits } from './retention.js';
import { Settlement } from './settlement.js';
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

export class Journal {
  readonly reader: Reader;
  readonly settlement: Settlement;
  readonly disk: Disk;
  /** Readings dropped into gaps since it was opened. */
  droppedReadings = 0;
  readonly #tombstones: Tombstones;
  readonly #gapMaker: GapMaker;
  readonly #scan: Reader['scan'];
  /** The log that the next flush begins: kept over failed appends, so that a retry writes the same keys. */
  #candidate: LogState | undefined;

  private constructor(
    readonly books: Books,
    store: Store,
    mark: MarkFile,
    private readonly options: JournalOptions,
    private readonly modules: JournalModules,
  ) {
    const { clock, signGap } = modules;
    this.reader = new Reader(store, books);
    this.#scan = (log, range) => this.reader.scan(log, range);
    this.disk = new Disk(store, mark, books, options.machineId);
    this.#gapMaker = { machineId: options.machineId, now: () => clock.now(), sign: signGap };
    const { reader, disk } = this;
    this.settlement = new Settlement({ books, disk, reader, gapMaker: this.#gapMaker, clock });
    this.#tombstones = new Tombstones(books, options.tombstones, clock);
  }

  /** Loads what is there; what is missing becomes a gap. Faults: storage.*, wal.foreign, wal.newer. */
  static async open(store: Store, mark: MarkFile, options: JournalOptions, modules: JournalModules): Promise<Journal> {
    const machine = await store.get(MACHINE_KEY);
    const owner = machine ? decodeMachine(machine) : mark.latest?.machineId;
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
    if (!machine) ops.push({ put: MACHINE_KEY, value: encodeMachine(options.machineId) });
    if (ops.length > 0) await journal.disk.commit(ops);
    books.changeGaps(lost);
    return journal;
  }

  /** Faults: storage.*, wal.write-failed. When it rejects, the flush does not count. */
  async append(readings: readonly Reading[]): Promise<DurableFlush> {
    const { books, disk, options } = this;
    const log = books.open ?? this.#begin();
    const ordered = canonicalOrder(readings);
    const chain = chainNext(log.chain ?? chainStart(log.id), ordered);
    const durableAt = this.modules.clock.now();
    const number = log.next;
    const flush = {
      number,
      chain,
      durableAt,
      readings: ordered,
      readingCount: ordered.length,
      valueCount: valuesOf(ordered),
      columns: encodeFlushes([{ number, readings: ordered }], number),
    };
    const value = encodeFlush(flush);

    const freed = books.retention.beyond(Math.max(0, options.maxBytes - books.backlogBytes - value.length));
    const room = { maxBytes: options.maxBytes, incoming: value.length };
    const drop = await planDrop(books, this.#gapMaker, this.#scan, room);
    await disk.commitFlush([...freed.flatMap(bucketOps), ...drop.ops], { put: flushKey(log.id, number), value });
    for (const bucket of freed) this.#freed(bucket);
    if (drop.flushes.length > 0) await this.#dropped(drop);

    this.#writeMark({ log: log.id, next: number + 1, chain, cut: false });
    disk.counts();
    Object.assign(log, { next: number + 1, chain });
    this.#adopt(log);
    const stored = { ...flush, size: value.length };
    books.owe(log, stored);
    books.recent.add(log.name, stored);
    return { log: log.id, flush: number, readings: ordered, chain };
  }

  /** The open log is closed; the next flush begins another. */
  closeLog(): void {
    this.books.open = undefined;
    this.#candidate = undefined;
  }

  /** Moves what is owed of a log from flush `from` on to the end of the open log, or of a new one. */
  async reappend(id: Uint8Array, from: number): Promise<void> {
    const { books, disk } = this;
    const old = this.settlement.known(id);
    if (old === books.open) this.closeLog();
    if (from >= old.next) return;
    const to = books.open ?? this.#begin();
    const plan = await planReappend(books, this.#gapMaker, this.#scan, { old, from, to });
    await disk.commit([...plan.ops, { put: logKey(old.id), value: encodeLog(plan.old) }]);
    for (const { old: record } of plan.moved) books.settle(old, record);
    Object.assign(old, plan.old);
    Object.assign(to, { next: plan.next, chain: plan.chain });
    if (plan.next > 0) this.#adopt(to);
    for (const { now } of plan.moved) books.owe(to, now);
    for (const change of plan.gaps) books.changeGaps(change);
    books.recent.clear();
    await this.settlement.refreshOldest();
    disk.writeMark();
  }

  /** One bounded step of keeping house: deletes what need not be kept. True when there is more to do at once. */
  async tidy(): Promise<boolean> {
    const more = await this.#sweep();
    await this.disk.syncMark();
    return more;
  }

  async #sweep(): Promise<boolean> {
    const { books, disk } = this;
    this.#tombstones.update();
    const expired = this.#tombstones.expired();
    if (expired.length > 0) {
      // First the mark, which would otherwise miss their flushes.
      for (const log of expired) books.forgetLog(log);
      disk.writeMark();
      await disk.syncMark();
    }
    const now = this.modules.clock.monotonic();
    const bucket = books.retention.due(now);
    const idle = !bucket && expired.length === 0 && !books.logs().some(({ dirty }) => dirty);
    if (idle && disk.uncounted.length === 0) return false;
    const forgotten = expired.map(({ id }) => ({ del: logKey(id) }));
    await disk.commit([...forgotten, ...(bucket ? bucketOps(bucket) : [])]);
    if (bucket) this.#freed(bucket);
    return books.retention.due(now) !== undefined;
  }

  /** Deletes a part of what is kept for healing, to get space; false when there is none. */
  async freeOldest(): Promise<boolean> {
    const bucket = this.books.retention.oldest();
    if (!bucket) return false;
    await this.disk.commit(bucketOps(bucket));
    this.#freed(bucket);
    return true;
  }

  #writeMark(entry: MarkEntry): void {
    try {
      this.disk.writeMark(entry);
    } catch (cause) {
      throw new WalFault('wal.write-failed', 'the mark beside the log could not be written', { cause });
    }
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

  /** What has been here and nobody can account for, as gaps. */
  #lost(): GapChange {
    const added = this.books.logs().flatMap((log) =>
      [...log.unaccounted().ranges()].map((range) => {
        this.modules.log.warn({ walLog: log.name, ...range }, 'flushes are missing from the log: they become a gap');
        return makeGap(this.#gapMaker, { log, range, readingCount: 0, reason: GapReason.STORE_DAMAGED });
      }),
    );
    return { removed: [], added };
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
    await this.settlement.refreshOldest();
  }
}

function bucketOps({ log, flushes }: Bucket): Op[] {
  return [...flushes.flushes()].map((number) => ({ del: flushKey(log.id, number) }));
}
