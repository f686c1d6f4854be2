// The hub's write-ahead log, the entry of this folder. Readings go in with append() and are never lost silently from
// there on: they stay until the cloud has acknowledged them, or are told to be gone by a signed gap.
//
// Here: what may be asked of it, and who is told. One operation at a time is run by keeper.ts, the operations themselves
// are in journal.ts, settlement.ts and reader.ts, their bytes in records.ts and mark-file.ts.
//
// In the directory: `store` (LevelDB), `mark` (mark-file.ts), `reserve` (reserve.ts), `store.damaged-<time>`.

import { join } from 'node:path';
import type { LogSummary } from '../../gen/occmesh/link/v1/link.js';
import type { FlushRange, GapReason } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { every, type Timer } from '../kernel/clock.js';
import { days, type EpochMs, hours, minutes, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import { makePrivateDirectory } from '../kernel/private-directory.js';
import type { Stoppable } from '../kernel/scope.js';
import { LevelStore } from '../storage/level.js';
import { StorageFault } from '../storage/store.js';
import { RangeSet, type ReadonlyRangeSet } from '../telemetry/ranges.js';
import type { Reading } from '../telemetry/reading.js';
import type { PendingGap } from './books.js';
import { WalFault } from './fault.js';
import type { DurableFlush, JournalModules, JournalOptions } from './journal.js';
import { Keeper } from './keeper.js';
import { MarkFile } from './mark-file.js';
import type { ReadBounds } from './reader.js';
import type { StoredFlush } from './recent.js';
import type { OpenStore } from './repair.js';
import { Reserve } from './reserve.js';

export type { PendingGap } from './books.js';
export type { DurableFlush } from './journal.js';
export type { ReadBounds } from './reader.js';
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

const DEFAULTS: Limits = {
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

export class Wal implements Stoppable, AsyncDisposable {
  readonly #durableListeners = new Set<(flush: DurableFlush) => void>();
  readonly #gapListeners = new Set<() => void>();
  readonly #keeper: Keeper;
  #ticking: Timer | undefined;
  #tidyTimer: Timer | undefined;
  #stopping: Promise<void> | undefined;

  private constructor(
    options: Required<WalOptions>,
    private readonly modules: WalModules,
    private readonly mark: MarkFile,
    private readonly reserve: Reserve,
  ) {
    const openStore: OpenStore = modules.openStore ?? ((directory) => LevelStore.open({ directory }, modules));
    const onGap = () => {
      for (const listener of [...this.#gapListeners]) listener();
    };
    const directory = join(options.directory, 'store');
    this.#keeper = new Keeper({ ...options, directory }, { ...modules, openStore, mark, reserve, onGap });
  }

  /**
   * Opens or creates the log in a directory. Every record is read and checked; what is damaged is set aside, and what is
   * missing becomes a gap. Logs of earlier runs are closed. Faults: wal.foreign, wal.newer, storage.in-use,
   * storage.unusable, storage.write-failed.
   */
  static async open(given: WalOptions, modules: WalModules): Promise<Wal> {
    const options = { ...DEFAULTS, ...given };
    await makePrivateDirectory(options.directory);
    const mark = await MarkFile.open(join(options.directory, 'mark'));
    try {
      const path = join(options.directory, 'reserve');
      const wal = new Wal(options, modules, mark, await Reserve.open(path, options.reserveBytes, modules.random));
      if (mark.unreadable) modules.log.warn('the mark is unreadable: a loss at the end of the log would go unnoticed');
      await wal.#keeper.start();
      wal.#ticking = every(modules.clock, TIDY_EVERY, () => wal.#tidySoon());
      wal.#tidySoon();
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
    return this.#keeper
      .run(async (journal) => {
        if (!(await this.reserve.restore())) {
          throw new WalFault('wal.write-failed', 'the disk is full', { advice: 'Make space on the disk of the hub.' });
        }
        const flush = await journal.append(readings);
        this.#tidySoon();
        this.#tell(flush);
        return flush;
      })
      .catch((thrown) => {
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
    const open = this.#keeper.books.open;
    return open && { log: open.id, next: open.next };
  }

  /** For Hello: what is known of every log, tombstones included, open log last; at most 256. */
  logs(): LogSummary[] {
    return this.#keeper.books.summaries();
  }

  /** What waits for acknowledgement, oldest log first. */
  unacked(): Waiting[] {
    const owing = this.#keeper.books.logs().filter(({ unacked }) => unacked.size > 0);
    return owing.map(({ id, unacked, acked }) => ({ log: id, waiting: unacked, holes: acked.rangeCount }));
  }

  /** What the cloud has acknowledged of a log, as a live view. */
  acked(log: Uint8Array): ReadonlyRangeSet {
    return this.#keeper.books.log(log)?.acked ?? new RangeSet();
  }

  /** What of a log is in gaps that the cloud has acknowledged, or was continued under another log; a live view. */
  gone(log: Uint8Array): ReadonlyRangeSet {
    return this.#keeper.books.log(log)?.gone ?? new RangeSet();
  }

  /** Gaps that the cloud has not acknowledged, ready to be sent. */
  gaps(): readonly PendingGap[] {
    return this.#keeper.books.gaps();
  }

  /** Readings that wait for acknowledgement. */
  get queuedReadings(): number {
    return this.#keeper.books.queuedReadings;
  }

  /** Bytes that they take in the log. */
  get backlogBytes(): number {
    return this.#keeper.books.backlogBytes;
  }

  /** When the oldest of them became durable; undefined when none waits. */
  get oldestUnackedAt(): EpochMs | undefined {
    return this.#keeper.books.oldest?.at;
  }

  /** Readings dropped since opening because the log was full; all of them are inside gaps. */
  get droppedReadings(): number {
    return this.#keeper.droppedReadings;
  }

  /** Flushes from `from` on, contiguous, as far as they are still here; none when `from` is not. */
  async read(log: Uint8Array, from: number, bounds: ReadBounds): Promise<StoredFlush[]> {
    return await this.#keeper.run((journal) => journal.reader.read(log, from, bounds));
  }

  /** Digest of a log after `flush` (of flush -1: the log's id); undefined when it is not known here. */
  async chainAt(log: Uint8Array, flush: number): Promise<Buffer | undefined> {
    return await this.#keeper.run((journal) => journal.reader.chainAt(log, flush));
  }

  /** The cloud holds these flushes. Written down soon, not at once: losing it costs a repetition. */
  async ack(log: Uint8Array, ranges: readonly FlushRange[]): Promise<void> {
    let rest = RangeSet.from(ranges);
    while (rest.size > 0) rest = await this.#keeper.run((journal) => journal.settlement.ack(log, rest));
    this.#tidySoon();
  }

  /** The cloud no longer holds these: owed again, as far as they are here. Returns those that are neither here nor in gaps. */
  async restoreUnacked(log: Uint8Array, ranges: readonly FlushRange[]): Promise<RangeSet> {
    const missing = await this.#keeper.run((journal) => journal.settlement.restore(log, RangeSet.from(ranges)));
    this.#tidySoon();
    return missing;
  }

  /** Writes a signed gap for what is not here of `range`. Faults: wal.unknown-log, storage.write-failed. */
  async addGap(log: Uint8Array, range: FlushRange, reason: GapReason): Promise<void> {
    await this.#keeper.run((journal) => journal.settlement.addGap(log, range, reason));
  }

  /** The cloud has recorded the gaps inside `range`. Faults: storage.write-failed. */
  async gapAcked(log: Uint8Array, range: FlushRange): Promise<void> {
    await this.#keeper.run((journal) => journal.settlement.gapAcked(log, range));
    this.#tidySoon();
  }

  /** Closes the open log; the next append begins another. */
  async startNewLog(): Promise<void> {
    await this.#keeper.run(async (journal) => journal.closeLog());
    this.#tidySoon();
  }

  /**
   * Continues a parted log under another: what is owed of it from flush `from` on is appended to the open log (or a new
   * one, when it is the open one) and taken from the old, in one commit. Faults: wal.unknown-log, storage.write-failed.
   */
  async reappend(log: Uint8Array, from: number): Promise<void> {
    await this.#keeper.run((journal) => journal.reappend(log, from));
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

  /** A listener that throws must not make a flush that counts look like one that does not. */
  #tell(flush: DurableFlush): void {
    for (const listener of [...this.#durableListeners]) {
      try {
        listener(flush);
      } catch (thrown) {
        this.modules.log.error({ cause: describe(thrown) }, 'a listener of the log failed');
      }
    }
  }

  async #stop(): Promise<void> {
    this.#ticking?.disarm();
    this.#tidyTimer?.disarm();
    await this.#keeper.stop();
    await this.mark.stop();
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
      while (await this.#keeper.run((journal) => journal.tidy()));
    } catch (thrown) {
      if (!this.#stopping) this.modules.log.warn({ cause: describe(thrown) }, 'tidying failed; later again');
    }
  }
}

function asWriteFault(thrown: unknown): unknown {
  if (!(thrown instanceof StorageFault)) return thrown;
  return new WalFault('wal.write-failed', 'the flush could not be written', { cause: thrown });
}
