// The values of series: as integers where that is exact, else as doubles.
import type { Columns } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { PackedWriter } from './packed.js';
import type { Reading } from './reading.js';
import { RunWriter } from './runs.js';
import { AS_DOUBLES, scale } from './scale.js';

// Scratch for all writers: the values of one metric of one series, and the same as integers.
let values = new Float64Array(64);
let integers = new Float64Array(64);

export class ValueWriter {
  readonly #scales = new RunWriter();
  readonly #firsts = new PackedWriter();
  readonly #deltas = new PackedWriter();
  readonly #doubles: number[] = [];

  constructor(private readonly readings: readonly Reading[]) {}

  /** Writes all values of the readings `from` … `to`-1, which have one shape. */
  series(from: number, to: number): void {
    const count = to - from;
    const width = this.readings[from]?.values.length ?? 0;
    for (let metric = 0; metric < width; metric++) {
      this.#gather(from, count, metric);
      const n = scale(values, count, integers);
      this.#scales.add(n);
      if (n === AS_DOUBLES) this.#writeDoubles(count);
      else this.#writeIntegers(count);
    }
  }

  /** Hands over everything written. */
  finish(columns: Columns): void {
    columns.scaleRuns = this.#scales.finish();
    columns.firsts = this.#firsts.finish();
    columns.deltas = this.#deltas.finish();
    columns.doubles = this.#doubles;
  }

  #writeDoubles(count: number): void {
    for (let i = 0; i < count; i++) this.#doubles.push(values[i] as number);
  }

  #writeIntegers(count: number): void {
    let previous = integers[0] as number;
    this.#firsts.add(previous);
    for (let i = 1; i < count; i++) {
      const integer = integers[i] as number;
      this.#deltas.add(integer - previous);
      previous = integer;
    }
  }

  /** Brings one metric's values into the scratch. */
  #gather(from: number, count: number, metric: number): void {
    if (values.length < count) {
      values = new Float64Array(count * 2);
      integers = new Float64Array(count * 2);
    }
    for (let i = 0; i < count; i++) values[i] = this.readings[from + i]?.values[metric]?.value ?? 0;
  }
}
