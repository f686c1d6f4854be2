// Readings as steady sensors make them: a random walk in steps of 0.01, once a second, never more than 5 ms off. The
// numbers are drawn beforehand; what a reading costs when it is taken is only what a sensor's own would cost.
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { epochMs } from '../../src/kernel/duration.js';
import type { Random } from '../../src/kernel/random.js';
import type { Reading } from '../../src/telemetry/reading.js';

const EVERY_MS = 1_000;
const JITTER_MS = 5;

export class Walk {
  /** In hundredths, of one sensor after the other in each second. */
  readonly #values: Int32Array;
  readonly #jitter: Int8Array;
  #taken = 0;

  /** `sensors` sensors, numbered from 1, that make `count` readings in all, the first of them at `start`. */
  constructor(
    private readonly sensors: number,
    count: number,
    private readonly start: number,
    random: Pick<Random, 'uniform'>,
  ) {
    this.#values = new Int32Array(count);
    this.#jitter = new Int8Array(count);
    for (let i = 0; i < count; i++) {
      const before = i < sensors ? 2_000 + Math.floor(random.uniform() * 3_000) : (this.#values[i - sensors] ?? 0);
      this.#values[i] = before + Math.floor(random.uniform() * 3) - 1;
      this.#jitter[i] = Math.floor(random.uniform() * (2 * JITTER_MS + 1)) - JITTER_MS;
    }
  }

  get left(): number {
    return this.#values.length - this.#taken;
  }

  /** The next ones, in the order of time; fewer at the end. */
  take(count: number): Reading[] {
    const readings: Reading[] = [];
    for (const end = this.#taken + Math.min(count, this.left); this.#taken < end; ) {
      readings.push(this.#reading(this.#taken++));
    }
    return readings;
  }

  #reading(i: number): Reading {
    const second = Math.floor(i / this.sensors);
    return {
      sensor: 1 + (i % this.sensors),
      takenAt: epochMs(this.start + second * EVERY_MS + (this.#jitter[i] ?? 0)),
      state: State.OK,
      message: '',
      values: [{ name: 'temperature', unit: 'Cel', value: (this.#values[i] ?? 0) / 100 }],
    };
  }
}
