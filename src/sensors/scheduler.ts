// Runs all sensors of a hub: takes the wanted configuration, changes only what differs, and reports readings. What a
// single sensor does, and how it is kept from harming others, is in scheduled-sensor.ts and supervise.ts.
import { isDeepStrictEqual } from 'node:util';
import type { SealedSecret, SensorConfig, SensorFailure } from '../../gen/occmesh/link/v1/link.js';
import { describe } from '../kernel/fault.js';
import type { Stoppable } from '../kernel/scope.js';
import { Serial } from '../kernel/serial.js';
import type { Reading } from '../telemetry/reading.js';
import { SensorFault } from './fault.js';
import { type Kinds, type PlanModules, planSensor } from './plan.js';
import { type FinishedRun, ScheduledSensor } from './scheduled-sensor.js';
import { Slots } from './slots.js';

export interface SensorSchedulerOptions {
  /** Told of every reading, in the order of their completion. Must not throw. */
  readonly onReading: (reading: Reading) => void;
  /** Told of every run, before its reading. Must not throw. */
  readonly onRun?: (run: FinishedRun) => void;
  /** Runs at work at the same time; default 8. */
  readonly concurrency?: number;
  /** The same for kinds that start processes; default 4. */
  readonly processConcurrency?: number;
}

export interface SensorSchedulerModules extends PlanModules {
  /** All kinds by name (registry.ts). */
  readonly kinds: Kinds;
}

/** What may change without a new sensor: its name, thresholds and timeout, and how its secrets are sealed. */
function sameSensor(a: SensorConfig, b: SensorConfig): boolean {
  return (
    a.kind === b.kind &&
    a.intervalMs === b.intervalMs &&
    a.paused === b.paused &&
    isDeepStrictEqual(a.secrets.map(versionOf), b.secrets.map(versionOf)) &&
    isDeepStrictEqual(a.settings ?? {}, b.settings ?? {})
  );
}

const versionOf = ({ field, version }: SealedSecret) => [field, version];

export class SensorScheduler implements Stoppable {
  readonly #sensors = new Map<number, ScheduledSensor>();
  readonly #serial = new Serial();
  readonly #slots: Slots;
  readonly #processSlots: Slots;
  #stopping: Promise<void> | undefined;

  constructor(
    private readonly options: SensorSchedulerOptions,
    private readonly modules: SensorSchedulerModules,
  ) {
    this.#slots = new Slots(options.concurrency ?? 8);
    this.#processSlots = new Slots(options.processConcurrency ?? 4);
  }

  /**
   * Makes exactly these sensors run. Unchanged ones go on undisturbed; new and changed ones run within two seconds.
   * Resolves with those that could not be configured: they report UNKNOWN with the reason at each interval.
   * Calls are queued; rejects with `sensor.stopped` after stop().
   */
  apply(configs: readonly SensorConfig[]): Promise<SensorFailure[]> {
    return this.#serial.run(() => this.#apply(configs));
  }

  async #apply(configs: readonly SensorConfig[]): Promise<SensorFailure[]> {
    this.#refuseWhenStopped();
    const failures: SensorFailure[] = [];
    const wanted = new Map<number, SensorConfig>();
    for (const config of configs) {
      if (wanted.has(config.number)) failures.push({ sensor: config.number, error: 'two sensors have this number' });
      else wanted.set(config.number, config);
    }
    const endings: Promise<void>[] = [];
    const starting: SensorConfig[] = [];
    for (const [number, sensor] of this.#sensors) {
      const config = wanted.get(number);
      if (config && this.#adjust(sensor, config)) continue;
      this.#sensors.delete(number);
      endings.push(sensor.stop());
    }
    for (const [number, config] of wanted) if (!this.#sensors.has(number)) starting.push(config);
    // First the old ones end: two sensors of one number must not run at the same time.
    await Promise.all(endings);
    this.#refuseWhenStopped();
    for (const config of starting) this.#start(config);
    for (const { config, plan } of this.#sensors.values()) {
      if (plan.failure !== undefined) failures.push({ sensor: config.number, error: plan.failure });
    }
    return failures;
  }

  /** Gives a running sensor its new configuration; false when it takes a new sensor. */
  #adjust(sensor: ScheduledSensor, config: SensorConfig): boolean {
    if (isDeepStrictEqual(sensor.config, config)) return true;
    if (sensor.plan.failure !== undefined || !sameSensor(sensor.config, config)) return false;
    const plan = planSensor(config, this.modules.kinds, this.modules);
    if (plan.failure !== undefined) return false;
    sensor.plan = { ...plan, sensor: sensor.plan.sensor };
    sensor.config = config;
    return true;
  }

  #start(config: SensorConfig): void {
    const plan = planSensor(config, this.modules.kinds, this.modules);
    const { clock, random, log } = this.modules;
    const slots = plan.spawns ? this.#processSlots : this.#slots;
    const { onRun = () => undefined } = this.options;
    const emit = (reading: Reading) => this.#emit(reading);
    const sensor = new ScheduledSensor(config, plan, { clock, random, log, slots, emit, onRun });
    this.#sensors.set(config.number, sensor);
    if (!config.paused) sensor.start();
    if (plan.failure !== undefined) log.warn({ sensor: config.number, kind: config.kind }, plan.failure);
  }

  #emit(reading: Reading): void {
    try {
      this.options.onReading(reading);
    } catch (thrown) {
      this.modules.log.error({ sensor: reading.sensor }, `a reading was not taken over: ${describe(thrown)}`);
    }
  }

  /**
   * Runs a sensor besides its schedule, or joins the run under way. Its reading is reported as any other.
   * Rejects with `sensor.not-running` (unknown or paused) or `sensor.stopped`.
   */
  async runNow(number: number): Promise<Reading> {
    this.#refuseWhenStopped();
    const sensor = this.#sensors.get(number);
    if (!sensor) throw new SensorFault('sensor.not-running', `there is no sensor ${number}`, { permanent: true });
    if (sensor.config.paused) throw new SensorFault('sensor.not-running', `sensor ${number} is paused`);
    return sensor.run();
  }

  #refuseWhenStopped(): void {
    if (this.#stopping) throw new SensorFault('sensor.stopped', 'the sensors have been stopped', { permanent: true });
  }

  /** Ends all runs; no reading is reported afterwards. Waits at most three seconds for runs that do not let go. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const sensors = [...this.#sensors.values()];
    this.#sensors.clear();
    await Promise.all(sensors.map((sensor) => sensor.stop()));
    await this.#serial.idle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
