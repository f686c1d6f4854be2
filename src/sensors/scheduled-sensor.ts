// One sensor on its schedule: when it runs, that it never runs twice at once, and what is reported while a run hangs.
import type { SensorConfig } from '../../gen/occmesh/link/v1/link.js';
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { type Clock, sleep, type Timer } from '../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import type { Stoppable } from '../kernel/scope.js';
import type { Reading } from '../telemetry/reading.js';
import { SensorFault } from './fault.js';
import { toReading } from './judge.js';
import type { Measurement } from './kind.js';
import { metronome } from './metronome.js';
import type { SensorPlan } from './plan.js';
import type { Slots } from './slots.js';
import { type SupervisedRun, supervise } from './supervise.js';

/**
 * All first runs fall into this window, and with equal intervals all later ones: enough to keep 20 sensors apart, and
 * close enough that their readings share one flush and one message instead of waking the machine 20 times.
 */
const SPREAD = seconds(2);
/** A run that lasts longer waits for something outside and costs nothing here, so it hands its slot on. */
const WORKING = seconds(1);
/** How long an ended sensor's last run may take to let go before it is left behind. */
const FAREWELL = seconds(3);

/** A run that has come to an end within its timeout or by it. */
export interface FinishedRun {
  readonly kind: string;
  readonly state: State;
  readonly took: Duration;
}

export interface ScheduledSensorModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly slots: Slots;
  readonly emit: (reading: Reading) => void;
  readonly onRun: (run: FinishedRun) => void;
}

export class ScheduledSensor implements Stoppable {
  readonly #lifetime = new AbortController();
  #timer: Timer | undefined;
  #current: Promise<Reading> | undefined;
  #run: SupervisedRun | undefined;
  #stopping: Promise<void> | undefined;

  constructor(
    public config: SensorConfig,
    public plan: SensorPlan,
    private readonly modules: ScheduledSensorModules,
  ) {}

  start(): void {
    const { clock, random } = this.modules;
    const first = milliseconds(random.uniform() * Math.min(this.plan.interval, SPREAD));
    this.#timer = metronome({ first, interval: this.plan.interval }, clock, () => this.#tick());
  }

  /** Runs once, or joins the run that is under way. Rejects only when the sensor is stopped. */
  run(): Promise<Reading> {
    this.#current ??= this.#report().finally(() => {
      this.#current = undefined;
    });
    return this.#current;
  }

  #tick(): void {
    if (this.#current) {
      this.modules.log.debug({ sensor: this.config.number }, 'skipped a run: the one before is still under way');
      return;
    }
    this.run().catch(() => undefined);
  }

  async #report(): Promise<Reading> {
    const lifetime = this.#lifetime.signal;
    lifetime.throwIfAborted();
    const hung = this.#run !== undefined && !this.#run.hasEnded;
    const { takenAt, measurement, took } = hung ? this.#stillRunning() : await this.#measure(lifetime);
    lifetime.throwIfAborted();
    const reading = toReading(this.config.number, takenAt, measurement, this.plan.thresholds);
    if (took !== undefined) this.modules.onRun({ kind: this.config.kind, state: reading.state, took });
    this.modules.emit(reading);
    return reading;
  }

  #stillRunning() {
    const measurement: Measurement = { values: [], state: State.UNKNOWN, message: 'still running' };
    return { takenAt: this.modules.clock.now(), measurement, took: undefined };
  }

  async #measure(lifetime: AbortSignal) {
    const { clock, slots } = this.modules;
    const slot = await slots.acquire(lifetime);
    const handOn = this.plan.spawns ? undefined : clock.after(WORKING, () => slot.release());
    try {
      // The start of the run: steadier than its end, so timestamps of a series cost next to nothing.
      const takenAt = clock.now();
      const began = clock.monotonic();
      this.#run = supervise(this.plan.sensor, this.plan.timeout, clock, lifetime, this.plan.secrets);
      const measurement = await this.#run.outcome;
      return { takenAt, measurement, took: milliseconds(clock.monotonic() - began) };
    } finally {
      handOn?.disarm();
      slot.release();
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#timer?.disarm();
    this.#lifetime.abort(new SensorFault('sensor.stopped', 'the sensor has been stopped'));
    await this.#current?.catch(() => undefined);
    const run = this.#run;
    if (run && !run.hasEnded) {
      const waiting = new AbortController();
      const patience = sleep(this.modules.clock, FAREWELL, waiting.signal).catch(() => undefined);
      await Promise.race([run.ended, patience]);
      waiting.abort();
      if (!run.hasEnded) this.modules.log.warn({ sensor: this.config.number }, 'left a hanging run behind');
    }
    try {
      await this.plan.sensor.close?.();
    } catch (error) {
      this.modules.log.warn({ sensor: this.config.number, err: error }, 'a sensor could not be closed');
    }
  }
}
