// Collects readings until they are worth a flush: after `linger`, at once when a sensor has changed its state, or when
// many wait. What cannot be written (disk full) waits here and is tried again; this wait is bounded, and what falls out
// of it was never durable, never announced, and is counted.
import type { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { type Duration, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Reading } from '../telemetry/reading.js';

/** A flush is full at whichever comes first; more waits for the next. A flush is never split, so it must fit a batch. */
const FULL_READINGS = 1_000;
const FULL_BYTES = 40 * 1024;
/** Readings that may wait while the log cannot be written. */
const MOST_WAITING = 50_000;
const RETRY = seconds(1);

export interface FlusherModules {
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes readings durable; rejects when they are not. */
  readonly append: (readings: readonly Reading[]) => Promise<unknown>;
  readonly linger: () => Duration;
}

export class Flusher {
  #waiting: Reading[] = [];
  #waitingBytes = 0;
  readonly #states = new Map<number, State>();
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  /** A sensor has changed its state, and that has not been written yet. */
  #urgent = false;
  /** The last write failed. */
  #failing = false;
  #stopped = false;
  #dropped = 0;

  constructor(private readonly modules: FlusherModules) {}

  /** Readings lost before they were durable, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  add(reading: Reading): void {
    if (this.#stopped) return;
    this.#waiting.push(reading);
    this.#waitingBytes += weightOf(reading);
    this.#bound();
    if (this.#states.get(reading.sensor) !== reading.state) this.#urgent = true;
    this.#states.set(reading.sensor, reading.state);
    // What cannot be written waits for its next try, however urgent.
    if (this.#writing || this.#failing) return;
    if (this.#urgent || this.#isFull) this.#write();
    else this.#timer ??= this.modules.clock.after(this.modules.linger(), () => this.#write());
  }

  /** Writes what waits, once, and takes nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.disarm();
    await this.#writing;
    while (this.#waiting.length > 0) {
      const flush = this.#take();
      try {
        await this.modules.append(flush);
      } catch (thrown) {
        const readings = flush.length + this.#waiting.length;
        this.#dropped += readings;
        this.#waiting = [];
        this.modules.log.error({ readings, cause: describe(thrown) }, 'last readings not written');
      }
    }
  }

  get #isFull(): boolean {
    return this.#waiting.length >= FULL_READINGS || this.#waitingBytes >= FULL_BYTES;
  }

  /** The next flush: at least one reading, and as many as fit. */
  #take(): Reading[] {
    let [count, bytes] = [0, 0];
    for (const reading of this.#waiting) {
      bytes += weightOf(reading);
      if (count > 0 && (count >= FULL_READINGS || bytes > FULL_BYTES)) break;
      count += 1;
    }
    const flush = this.#waiting.splice(0, count);
    for (const reading of flush) this.#waitingBytes -= weightOf(reading);
    return flush;
  }

  #bound(): void {
    const over = this.#waiting.length - MOST_WAITING;
    if (over <= 0) return;
    for (const reading of this.#waiting.splice(0, over)) this.#waitingBytes -= weightOf(reading);
    this.#dropped += over;
  }

  #write(): void {
    this.#timer?.disarm();
    this.#timer = undefined;
    if (this.#writing || this.#stopped || this.#waiting.length === 0) return;
    const flush = this.#take();
    if (this.#waiting.length === 0) this.#urgent = false;
    this.#writing = this.modules.append(flush).then(
      () => this.#written(),
      (thrown) => this.#notWritten(flush, thrown),
    );
  }

  #written(): void {
    this.#writing = undefined;
    this.#failing = false;
    if (this.#stopped || this.#waiting.length === 0) return;
    if (this.#urgent || this.#isFull) this.#write();
    else this.#timer = this.modules.clock.after(this.modules.linger(), () => this.#write());
  }

  #notWritten(flush: readonly Reading[], thrown: unknown): void {
    this.#writing = undefined;
    this.#failing = true;
    this.#waiting = flush.concat(this.#waiting);
    for (const reading of flush) this.#waitingBytes += weightOf(reading);
    this.#bound();
    this.modules.log.error(
      { waiting: this.#waiting.length, cause: describe(thrown) },
      'readings cannot be written; they wait in memory',
    );
    if (!this.#stopped) this.#timer = this.modules.clock.after(RETRY, () => this.#write());
  }
}

/** About what a reading takes in a batch whose texts do not repeat, bytes. */
function weightOf({ message, values }: Reading): number {
  let bytes = 8 + message.length;
  for (const { name, unit } of values) bytes += 10 + name.length + unit.length;
  return bytes;
}
