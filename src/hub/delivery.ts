// What one session delivers from the log: gaps first, then readings as they become durable (LIVE, gathered while answers
// are awaited, bounded by the window), then what waited (BACKFILL, newest first, bounded by credit). Boundaries of batches
// live only here: the log knows flushes, and what is unacknowledged when the session ends is simply sent again by the next
// one.

import { Lane } from '../../gen/occmesh/link/v1/link.js';
import type { FlushRange } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { SigningKey } from '../identity/keys.js';
import { signContent } from '../identity/signed.js';
import { TAGS } from '../identity/tags.js';
import { view } from '../kernel/bytes.js';
import { toError } from '../kernel/fault.js';
import type { ContentMessage, HubSessionState } from '../link/hub-session.js';
import { packBatch, packFlush } from '../telemetry/batch.js';
import type { RangeSet } from '../telemetry/ranges.js';
import type { PendingGap, StoredFlush, Wal } from '../wal/wal.js';
import { BATCH_BYTES, batchEnd, flushesThatFit, takeBatch } from './batches.js';
import { InFlight } from './in-flight.js';

/** The carrier is given no more than this ahead, so that live readings need not wait in it. */
const CARRIER_AHEAD = 256 * 1024;
/** Live flushes that could not be sent for this many readings are no longer live. */
const STALE_LIVE_READINGS = 5_000;
/**
 * With so many live batches sent since the last answer to one, the next is sent when it is full or one of them is answered.
 * Where answers take long, because the cloud is busy with very many, hubs thereby send fewer and larger batches (as Nagle's
 * algorithm does, RFC 896); two, so that the next is on its way while the answer to the one before travels.
 */
const UNANSWERED_LIVE = 2;
/** With this many holes in what the cloud holds of a log, the oldest is filled first. */
const MANY_HOLES = 32;

/** The session, as far as it is needed here. */
export interface Outlet {
  readonly state: HubSessionState;
  readonly queuedBytes: number;
  drained(): Promise<void>;
  /** Returns the bytes that travel; 0 when the session is over. */
  sendContent(message: ContentMessage, lane: Lane): number;
  /** Says how much waits. */
  report(): void;
}

export interface DeliveryOptions {
  /** Bytes of LIVE batches that may be unacknowledged. */
  readonly liveWindow: number;
  /** Readings after which a batch is closed. */
  readonly batchReadings: number;
  /** Logs that have parted from what the cloud holds: suspended from the beginning. */
  readonly parted: readonly Buffer[];
}

export interface DeliveryModules {
  readonly session: Outlet;
  readonly wal: Wal;
  readonly key: SigningKey;
  /** The log could not be read: the session cannot go on. */
  readonly onFailure: (error: Error) => void;
  /** Live readings begin to wait for acknowledgements. */
  readonly onStall?: () => void;
}

export class Delivery {
  readonly #inFlight = new InFlight();
  readonly #stopWatching: (() => void)[];
  readonly #sentGaps = new WeakSet<PendingGap>();
  /** Where live begins in the open log; flushes of later logs are all live. */
  #live: { log: string; next: number };
  #credit = 0;
  /** Backlog has been sent since the cloud was last told how much is left: it would keep credit for what is sent already. */
  #mustReport = false;
  #flushesPerBatch = 64;
  #stalled = false;
  #pumping = false;
  #again = false;
  #ended = false;
  /** Logs that parted from what the cloud holds: nothing of them is sent until that is resolved. */
  readonly #suspended: Set<string>;

  constructor(
    private readonly options: DeliveryOptions,
    private readonly modules: DeliveryModules,
  ) {
    const { wal } = modules;
    const open = wal.openLog;
    this.#live = open ? { log: hex(open.log), next: open.next } : { log: '', next: 0 };
    this.#suspended = new Set(options.parted.map(hex));
    this.#stopWatching = [wal.onDurable(() => this.pump()), wal.onGap(() => this.#sendGaps())];
    this.#sendGaps();
    this.pump();
  }

  end(): void {
    this.#ended = true;
    for (const stop of this.#stopWatching) stop();
  }

  /** Bytes in the log that wait and are neither live nor on their way. */
  get backlogBytes(): number {
    for (const _ of this.#backlog()) {
      return Math.max(1, this.modules.wal.backlogBytes - this.#inFlight.loggedBytes);
    }
    return 0;
  }

  /** The cloud grants more backlog. */
  credit(bytes: number): void {
    this.#credit += bytes;
    this.pump();
  }

  /** The cloud holds these flushes. */
  acked(log: Uint8Array, ranges: RangeSet): void {
    this.#inFlight.settle(hex(log), (batch) => ranges.contains(batch));
    this.pump();
  }

  /** The cloud has refused this batch, because it holds something else there. */
  refused(log: Uint8Array, range: FlushRange): void {
    this.#inFlight.settle(hex(log), ({ first, count }) => first === range.first && count === range.count);
  }

  /** Whether something of this log has been sent that the cloud has not answered. */
  isInFlight(log: Uint8Array): boolean {
    return this.#inFlight.ranges(hex(log)).size > 0;
  }

  suspend(log: Uint8Array): void {
    this.#suspended.add(hex(log));
  }

  resume(log: Uint8Array): void {
    this.#suspended.delete(hex(log));
    this.#sendGaps();
    this.pump();
  }

  /** Sends what may be sent; one run at a time. */
  pump(): void {
    if (this.#pumping) {
      this.#again = true;
      return;
    }
    this.#pumping = true;
    this.#run()
      .catch((thrown) => {
        if (!this.#ended) this.modules.onFailure(toError(thrown));
      })
      .finally(() => {
        this.#pumping = false;
        if (this.#again && !this.#ended) {
          this.#again = false;
          this.pump();
        }
      });
  }

  get #isOver(): boolean {
    return this.#ended || this.modules.session.state !== 'up';
  }

  async #run(): Promise<void> {
    const { session } = this.modules;
    while (!this.#isOver) {
      if (session.queuedBytes >= CARRIER_AHEAD) await session.drained();
      else if (!(await this.#sendLive()) && !(await this.#sendBackfill())) break;
    }
    if (!this.#mustReport || this.#isOver) return;
    this.#mustReport = false;
    session.report();
  }

  async #sendLive(): Promise<boolean> {
    const { session, wal } = this.modules;
    const open = wal.openLog;
    // Of a log that is closed nothing is live any more, also while there is no other yet.
    const name = open ? hex(open.log) : '';
    if (name !== this.#live.log) {
      this.#live = { log: name, next: 0 };
      // Before its first batch, which need not name it then.
      session.report();
    }
    const isStalled = this.#inFlight.bytes(Lane.LIVE) >= this.options.liveWindow;
    if (!open || this.#suspended.has(name) || open.next <= this.#live.next) return false;
    if (isStalled && !this.#stalled) this.modules.onStall?.();
    this.#stalled = isStalled;
    if (isStalled) return false;
    const flushes = await wal.read(open.log, this.#live.next, {
      maxReadings: STALE_LIVE_READINGS,
      maxBytes: this.options.liveWindow,
      until: open.next,
    });
    const { batch, isFull } = takeBatch(flushes, this.options.batchReadings);
    const last = flushes.at(-1);
    if (!last) {
      // Dropped or acknowledged in the meantime: nothing is live any more.
      this.#live.next = open.next;
      return true;
    }
    if (last.number + 1 < open.next) {
      // So much has piled up that it is a backlog by now; the newest stays live.
      this.#live.next = last.number + 1;
      return true;
    }
    if (!isFull && this.#inFlight.unanswered(Lane.LIVE) >= UNANSWERED_LIVE) return false;
    this.#send(open.log, batch, Lane.LIVE);
    this.#live.next = batchEnd(batch);
    return true;
  }

  async #sendBackfill(): Promise<boolean> {
    if (this.#credit <= 0) return false;
    for (const { log, ranges, oldestFirst } of this.#backlog()) {
      const range = oldestFirst ? ranges.toProto()[0] : ranges.toProto().at(-1);
      if (!range) continue;
      const end = range.first + range.count;
      const from = oldestFirst ? range.first : Math.max(range.first, end - this.#flushesPerBatch);
      const flushes = await this.modules.wal.read(log, from, {
        maxReadings: this.options.batchReadings,
        maxBytes: BATCH_BYTES,
        until: end,
      });
      const { batch } = takeBatch(flushes, this.options.batchReadings);
      if (batch.length === 0) continue;
      this.#flushesPerBatch = flushesThatFit(batch, this.options.batchReadings);
      // It began too far back to reach the newest: once more, from further ahead.
      if (!oldestFirst && batchEnd(batch) < end && batch.length < end - from) {
        this.#flushesPerBatch = Math.min(this.#flushesPerBatch, batch.length);
        return true;
      }
      this.#credit -= this.#send(log, batch, Lane.BACKFILL);
      this.#mustReport = true;
      return true;
    }
    return false;
  }

  /** What waits and is not live, newest log first. */
  *#backlog(): Generator<{ log: Buffer; ranges: RangeSet; oldestFirst: boolean }> {
    const unacked = this.modules.wal.unacked();
    for (const { log, waiting, holes } of [...unacked].reverse()) {
      const name = hex(log);
      if (this.#suspended.has(name)) continue;
      const ranges = waiting.subtract(this.#inFlight.ranges(name));
      if (name === this.#live.log && ranges.end > this.#live.next) {
        ranges.remove({ first: this.#live.next, count: ranges.end - this.#live.next });
      }
      if (ranges.size > 0) yield { log, ranges, oldestFirst: holes >= MANY_HOLES };
    }
  }

  #send(log: Buffer, batch: readonly StoredFlush[], lane: Lane): number {
    const [first, last] = [batch[0], batch.at(-1)];
    // While the log was read, the session may have ended, or the log have parted.
    if (!first || !last || this.#isOver || this.#suspended.has(hex(log))) return 0;
    const { key, session } = this.modules;
    const head = { log, firstFlush: first.number, chain: last.chain };
    const content = batch.length === 1 ? packFlush(head, first) : packBatch(head, batch);
    const bytes = session.sendContent({ $case: 'batch', value: signContent(key, TAGS.BATCH, content) }, lane);
    const loggedBytes = batch.reduce((sum, flush) => sum + flush.size, 0);
    this.#inFlight.add(hex(log), { first: first.number, count: batch.length, bytes, loggedBytes, lane });
    return bytes;
  }

  #sendGaps(): void {
    for (const pending of this.modules.wal.gaps()) {
      if (this.#sentGaps.has(pending) || this.#suspended.has(hex(pending.gap.log))) continue;
      this.#sentGaps.add(pending);
      this.modules.session.sendContent({ $case: 'gap', value: pending.signed }, Lane.CONTROL);
    }
  }
}

const hex = (log: Uint8Array): string => view(log).toString('hex');
