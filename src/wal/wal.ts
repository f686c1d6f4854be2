// The hub's write-ahead log, the entry of this folder. Readings go in with append() and are never lost silently from
// there on: they stay until the cloud has acknowledged them, or are told to be gone by a signed gap.
//
// Here: the queue of operations, the space kept aside, what happens when the store turns out to be damaged, and who is
// told. The operations themselves are in journal.ts, their bytes in records.ts and mark-file.ts.
//
// In the directory: `store` (LevelDB), `mark` (mark-file.ts), `reserve` (reserve.ts), `store.damaged-<time>`.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogSummary } from '../../gen/occmesh/link/v1/link.js';
import type { FlushRange, GapReason } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { every, type Timer } from '../kernel/clock.js';
import { days, type EpochMs, hours, minutes, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Stoppable } from '../kernel/scope.js';
import { Serial } from '../kernel/serial.js';
import { LevelStore } from '../storage/level.js';
import { StorageFault, type Store } from '../storage/store.js';
import { RangeSet, type ReadonlyRangeSet } from '../telemetry/ranges.js';
import type { Reading } from '../telemetry/reading.js';
import type { Books, PendingGap } from './books.js';
import { WalFault } from './fault.js';
import { type DurableFlush, Journal, type JournalModules, type JournalOptions, type ReadBounds } from './journal.js';
import { MarkFile } from './mark-file.js';
import type { StoredFlush } from './recent.js';
import { finishRepair, type OpenStore, replaceDamaged } from './repair.js';
import { Reserve } from './reserve.js';

export type { PendingGap } from './books.js';
export type { DurableFlush, ReadBounds } from './journal.js';
export type { StoredFlush } from './recent.js';

interface Limits extends Omit<JournalOptions, 'machineId'> {
  /** Space kept aside so that a full disk can still be drained. */
  readonly reserveBytes: number;
}

export interface WalOptions extends Partial<Limits> {
  readonly directory: string;
  /** The hub, 16 bytes. */
  readonly machineId: Buffer;
}

export const WAL_DEFAULTS: Limits = {
  maxBytes: 1024 ** 3,
  heal: { maxBytes: 64 * 1024 ** 2, maxAge: hours(72) },
  tombstones: days(90),
  reserveBytes: 4 * 1024 ** 2,
};

export interface WalModules extends JournalModules {
  /** Default: LevelDB. Must be able to open what salvage.ts can read. */
  readonly openStore?: OpenStore;
}

/** What of a log waits for acknowledgement. */
export interface Waiting {
  readonly log: Buffer;
  /** A live view: changes as the log does. */
  readonly waiting: ReadonlyRangeSet;
  /** How many stretches of this log the cloud holds. */
  readonly holes: number;
}

const TIDY_AFTER = seconds(1);
const TIDY_EVERY = minutes(10);
/** Buckets of 256 KiB that are given up at once when the disk is full. */
const FREED_WHEN_FULL = 16;

export class Wal implements Stoppable, AsyncDisposable {
  readonly #serial = new Serial();
  readonly #durableListeners = new Set<(flush: DurableFlush) => void>();
  readonly #gapListeners = new Set<() => void>();
  readonly #storeDirectory: string;
  readonly #openStore: OpenStore;
  #store: Store | undefined;
  /** Undefined while the store could not be opened again after a repair. */
  #journal: Journal | undefined;
  #books: Books | undefined;
  #droppedBefore = 0;
  /** A write failed: the store has to recover before anything else. */
  #failed = false;
  #ticking: Timer | undefined;
  #tidyTimer: Timer | undefined;
  #stopping: Promise<void> | undefined;

  private constructor(
    private readonly options: Required<WalOptions>,
    private readonly modules: WalModules,
    private readonly mark: MarkFile,
    private readonly reserve: Reserve,
  ) {
    this.#storeDirectory = join(options.directory, 'store');
    this.#openStore = modules.openStore ?? ((directory) => LevelStore.open({ directory }, modules));
  }

  /**
   * Opens or creates the log in a directory. Every record is read and checked; what is damaged is set aside, and what is
   * missing becomes a gap. Logs of earlier runs are closed. Faults: wal.foreign, wal.newer, storage.in-use,
   * storage.unusable, storage.write-failed.
   */
  static async open(given: WalOptions, modules: WalModules): Promise<Wal> {
    const options = { ...WAL_DEFAULTS, ...given };
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const mark = await MarkFile.open(join(options.directory, 'mark'));
    try {
      const path = join(options.directory, 'reserve');
      const wal = new Wal(options, modules, mark, await Reserve.open(path, options.reserveBytes, modules.random));
      if (mark.unreadable) modules.log.warn('the mark is unreadable: a loss at the end of the log would go unnoticed');
      await wal.#start();
      return wal;
    } catch (thrown) {
      await mark.stop();
      throw thrown;
    }
  }

  /**
   * Writes one flush; resolves when it will survive power loss. When it rejects, nothing of it counts, and the same
   * readings may be appended again. Appends are written in the order of their calls. The readings must have passed
   * checkReading, and must not be changed afterwards. Faults: wal.write-failed, wal.closed.
   */
  append(readings: readonly Reading[]): Promise<DurableFlush> {
    if (readings.length === 0) return Promise.reject(new RangeError('a flush has at least one reading'));
    return this.#run(async (journal) => {
      if (!(await this.reserve.restore())) {
        throw new WalFault('wal.write-failed', 'the disk is full', { advice: 'Make space on the disk of the hub.' });
      }
      const flush = await journal.append(readings);
      for (const listener of [...this.#durableListeners]) listener(flush);
      return flush;
    }).catch((thrown) => {
      throw asWriteFault(thrown);
    });
  }

  /** Calls `listener` for each durable flush, in order, before its append resolves; returns its removal. */
  onDurable(listener: (flush: DurableFlush) => void): () => void {
    this.#durableListeners.add(listener);
    return () => this.#durableListeners.delete(listener);
  }

  /** Calls `listener` when there are new gaps to be sent; returns its removal. */
  onGap(listener: () => void): () => void {
    this.#gapListeners.add(listener);
    return () => this.#gapListeners.delete(listener);
  }

  /** The log that flushes go to, with the number of the next; undefined before the first flush of a log. */
  get openLog(): { readonly log: Buffer; readonly next: number } | undefined {
    const open = this.#known.open;
    return open && { log: open.id, next: open.next };
  }

  /** For Hello: what is known of every log, tombstones included, open log last; at most 256. */
  logs(): LogSummary[] {
    return this.#known.summaries();
  }

  /** What waits for acknowledgement, oldest log first. */
  unacked(): Waiting[] {
    const owing = this.#known.logs().filter(({ unacked }) => unacked.size > 0);
    return owing.map(({ id, unacked, acked }) => ({ log: id, waiting: unacked, holes: acked.rangeCount }));
  }

  /** What the cloud has acknowledged of a log, as a live view. */
  acked(log: Uint8Array): ReadonlyRangeSet {
    return this.#known.log(log)?.acked ?? new RangeSet();
  }

  /** What of a log is in gaps that the cloud has acknowledged, or was continued under another log; a live view. */
  gone(log: Uint8Array): ReadonlyRangeSet {
    return this.#known.log(log)?.gone ?? new RangeSet();
  }

  /** Gaps that the cloud has not acknowledged, ready to be sent. */
  gaps(): readonly PendingGap[] {
    return this.#known.gaps();
  }

  /** Readings that wait for acknowledgement. */
  get queuedReadings(): number {
    return this.#known.queuedReadings;
  }

  /** Bytes that they take in the log. */
  get backlogBytes(): number {
    return this.#known.backlogBytes;
  }

  /** When the oldest of them became durable; undefined when none waits. */
  get oldestUnackedAt(): EpochMs | undefined {
    return this.#known.oldest?.at;
  }

  /** Readings dropped since opening because the log was full; all of them are inside gaps. */
  get droppedReadings(): number {
    return this.#droppedBefore + (this.#journal?.droppedReadings ?? 0);
  }

  /** Flushes from `from` on, contiguous, as far as they are still here; none when `from` is not. */
  async read(log: Uint8Array, from: number, bounds: ReadBounds): Promise<StoredFlush[]> {
    return await this.#run((journal) => journal.read(log, from, bounds));
  }

  /** Digest of a log after `flush` (of flush -1: the log's id); undefined when it is not known here. */
  async chainAt(log: Uint8Array, flush: number): Promise<Buffer | undefined> {
    return await this.#run((journal) => journal.chainAt(log, flush));
  }

  /** The cloud holds these flushes. Written down soon, not at once: losing it costs a repetition. */
  async ack(log: Uint8Array, ranges: readonly FlushRange[]): Promise<void> {
    let rest = RangeSet.from(ranges);
    while (rest.size > 0) rest = await this.#run((journal) => journal.ack(log, rest));
    this.#tidySoon();
  }

  /** The cloud no longer holds these: owed again, as far as they are here. Returns those that are neither here nor in gaps. */
  async restoreUnacked(log: Uint8Array, ranges: readonly FlushRange[]): Promise<RangeSet> {
    const missing = await this.#run((journal) => journal.restore(log, RangeSet.from(ranges)));
    this.#tidySoon();
    return missing;
  }

  /** Writes a signed gap for what is not here of `range`. Faults: wal.unknown-log, storage.write-failed. */
  async addGap(log: Uint8Array, range: FlushRange, reason: GapReason): Promise<void> {
    await this.#run((journal) => journal.addGap(log, range, reason));
  }

  /** The cloud has recorded the gaps inside `range`. Faults: storage.write-failed. */
  async gapAcked(log: Uint8Array, range: FlushRange): Promise<void> {
    await this.#run((journal) => journal.gapAcked(log, range));
    this.#tidySoon();
  }

  /** Closes the open log; the next append begins another. */
  async startNewLog(): Promise<void> {
    await this.#run(async (journal) => journal.closeLog());
    this.#tidySoon();
  }

  /**
   * Continues a parted log under another: what is owed of it from flush `from` on is appended to the open log (or a new
   * one, when it is the open one) and taken from the old, in one commit. Faults: wal.unknown-log, storage.write-failed.
   */
  async reappend(log: Uint8Array, from: number): Promise<void> {
    await this.#run((journal) => journal.reappend(log, from));
    this.#tidySoon();
  }

  /** Waits for what was begun, writes down what was acknowledged, closes. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    this.#ticking?.disarm();
    this.#tidyTimer?.disarm();
    await this.#serial.idle();
    // Not worth failing for: without it the cloud is sent something twice.
    await this.#journal?.tidy().catch((thrown) => this.modules.log.warn({ cause: describe(thrown) }, 'tidying failed'));
    await this.#store?.stop();
    await this.mark.stop();
  }

  get #known(): Books {
    if (!this.#books) throw new WalFault('wal.closed', 'the log is not open', { permanent: true });
    return this.#books;
  }

  async #start(): Promise<void> {
    await finishRepair(this.#storeDirectory);
    await this.#openJournal().catch(async (thrown) => {
      if (!isDamage(thrown)) throw thrown;
      await this.#replace([], thrown);
    });
    this.#ticking = every(this.modules.clock, TIDY_EVERY, () => this.#tidySoon());
    this.#tidySoon();
  }

  async #openJournal(): Promise<Journal> {
    this.#store = await this.#openStore(this.#storeDirectory);
    try {
      this.#journal = await Journal.open(this.#store, this.mark, this.options, this.modules);
    } catch (thrown) {
      await this.#store.stop();
      throw thrown;
    }
    this.#books = this.#journal.books;
    return this.#journal;
  }

  /** Runs one operation after those before it; what can be done about a failure is done, once. */
  #run<T>(action: (journal: Journal) => Promise<T>): Promise<T> {
    if (this.#stopping) return Promise.reject(new WalFault('wal.closed', 'the log has been closed'));
    return this.#serial.run(async () => {
      const before = this.#known.gaps();
      try {
        return await this.#attempt(action);
      } finally {
        const now = this.#known.gaps();
        if (now !== before && now.some((gap) => !before.includes(gap))) {
          for (const listener of [...this.#gapListeners]) listener();
        }
      }
    });
  }

  async #attempt<T>(action: (journal: Journal) => Promise<T>): Promise<T> {
    const journal = this.#journal ?? (await this.#openJournal());
    try {
      if (this.#failed) await journal.revive();
      this.#failed = false;
      return await action(journal);
    } catch (thrown) {
      if (isDamage(thrown)) return await action(await this.#replace(journal.uncounted, thrown));
      this.#failed = isWriteFailure(thrown);
      if (!isFull(thrown)) throw thrown;
      await this.#makeSpace(journal);
      return await action(journal);
    }
  }

  /** The store is damaged: goes on with a new one that has what is good of it. The open log is closed by that. */
  async #replace(unwanted: readonly Buffer[], reason: unknown): Promise<Journal> {
    this.modules.log.error({ cause: describe(reason) }, 'the log is damaged');
    this.#droppedBefore = this.droppedReadings;
    this.#journal = undefined;
    await this.#store?.stop();
    const { clock, log } = this.modules;
    await replaceDamaged(this.#storeDirectory, unwanted, { openStore: this.#openStore, clock, log });
    return await this.#openJournal();
  }

  async #makeSpace(journal: Journal): Promise<void> {
    this.modules.log.warn('the disk is full: giving up the reserve and what was kept for healing');
    await this.reserve.release();
    await journal.revive();
    this.#failed = false;
    for (let i = 0; i < FREED_WHEN_FULL && (await journal.freeOldest()); i++);
  }

  #tidySoon(): void {
    if (this.#stopping) return;
    this.#tidyTimer ??= this.modules.clock.after(TIDY_AFTER, () => {
      this.#tidyTimer = undefined;
      void this.#tidy();
    });
  }

  async #tidy(): Promise<void> {
    try {
      // One step at a time, so that appends come in between.
      while (await this.#run((journal) => journal.tidy()));
    } catch (thrown) {
      if (!this.#stopping) this.modules.log.warn({ cause: describe(thrown) }, 'tidying failed; later again');
    }
  }
}

const isDamage = (thrown: unknown): boolean => thrown instanceof StorageFault && thrown.code === 'storage.damaged';

function isWriteFailure(thrown: unknown): boolean {
  if (thrown instanceof WalFault) return thrown.code === 'wal.write-failed';
  return thrown instanceof StorageFault && thrown.code === 'storage.write-failed';
}

/** By the words of the system, since LevelDB passes on nothing else. */
function isFull(thrown: unknown): boolean {
  return (
    isWriteFailure(thrown) && /ENOSPC|EDQUOT|EFBIG|No space left|quota exceeded|File too large/i.test(describe(thrown))
  );
}

function asWriteFault(thrown: unknown): unknown {
  if (!(thrown instanceof StorageFault)) return thrown;
  return new WalFault('wal.write-failed', 'the flush could not be written', { cause: thrown });
}
