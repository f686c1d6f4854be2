// Collects readings until they are worth a flush: after `linger`, at once when a sensor has changed its state, or when
// many wait. What cannot be written (disk full) waits here and is tried again; this wait is bounded, and what falls out
// of it was never durable, never announced, and is counted.
import type { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { type Duration, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Reading } from '../telemetry/reading.js';

/** Readings in one flush at most; more wait for the next. */
const FULL = 1_000;
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
  readonly #states = new Map<number, State>();
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #stopped = false;
  #dropped = 0;

  constructor(private readonly modules: FlusherModules) {}

  /** Readings lost before they were durable, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  add(reading: Reading): void {
    if (this.#stopped) return;
    if (this.#waiting.length >= MOST_WAITING) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
    this.#waiting.push(reading);
    const changed = this.#states.get(reading.sensor) !== reading.state;
    this.#states.set(reading.sensor, reading.state);
    if (this.#writing) return;
    if (changed || this.#waiting.length >= FULL) this.#write();
    else this.#timer ??= this.modules.clock.after(this.modules.linger(), () => this.#write());
  }

  /** Writes what waits, once, and takes nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.disarm();
    await this.#writing;
    const rest = this.#waiting;
    this.#waiting = [];
    if (rest.length === 0) return;
    await this.modules.append(rest).catch((thrown) => {
      this.modules.log.error({ readings: rest.length, cause: describe(thrown) }, 'last readings not written');
    });
  }

  #write(): void {
    this.#timer?.disarm();
    this.#timer = undefined;
    if (this.#writing || this.#stopped || this.#waiting.length === 0) return;
    const batch = this.#waiting.splice(0, FULL);
    this.#writing = this.modules
      .append(batch)
      .then(
        () => undefined,
        (thrown) => {
          this.modules.log.error(
            { waiting: this.#waiting.length + batch.length, cause: describe(thrown) },
            'readings cannot be written; they wait in memory',
          );
          this.#waiting = batch.concat(this.#waiting);
          return 'failed' as const;
        },
      )
      .then((outcome) => {
        this.#writing = undefined;
        if (this.#stopped || this.#waiting.length === 0) return;
        if (outcome !== 'failed' && this.#waiting.length >= FULL) this.#write();
        else
          this.#timer = this.modules.clock.after(outcome === 'failed' ? RETRY : this.modules.linger(), () =>
            this.#write(),
          );
      });
  }
}
