// The values of series: as integers where that is exact, else as doubles; and where a series has to be cut because a
// difference does not fit.
import type { Columns } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Reading } from './reading.js';
import { RunWriter } from './runs.js';
import { AS_DOUBLES, isInt32, scale } from './scale.js';

/** A cut costs about as much as eight differences. */
const READINGS_PER_CUT = 8;

export class ValueWriter {
  /** Per series and metric; made into runs at the end, because a series that is cut takes its scales back. */
  readonly #scales: number[] = [];
  readonly #firsts: number[] = [];
  readonly #deltas: number[] = [];
  readonly #doubles: number[] = [];
  /** Scratch: the values of one metric of one series, and the same as integers. */
  #values = new Float64Array(0);
  #integers = new Float64Array(0);

  constructor(private readonly readings: readonly Reading[]) {}

  /** Writes all values of a series. When it has to be cut, writes nothing and returns where, in order. */
  series(from: number, to: number, mayCut: boolean): number[] {
    const before = [this.#scales.length, this.#firsts.length, this.#deltas.length, this.#doubles.length] as const;
    const count = to - from;
    const cuts = new Set<number>();
    const width = this.readings[from]?.values.length ?? 0;
    for (let metric = 0; metric < width; metric++) {
      this.#gather(from, count, metric);
      let n = scale(this.#values, count, this.#integers);
      const wide = n === AS_DOUBLES ? [] : this.#wideDifferences(count);
      if (wide.length > 0) {
        if (mayCut && wide.length * READINGS_PER_CUT <= count) for (const at of wide) cuts.add(from + at);
        else n = AS_DOUBLES;
      }
      this.#scales.push(n);
      if (n === AS_DOUBLES) this.#writeDoubles(count);
      else this.#writeIntegers(count);
    }
    if (cuts.size > 0) [this.#scales.length, this.#firsts.length, this.#deltas.length, this.#doubles.length] = before;
    return [...cuts].sort((a, b) => a - b);
  }

  #writeDoubles(count: number): void {
    for (let i = 0; i < count; i++) this.#doubles.push(this.#values[i] as number);
  }

  #writeIntegers(count: number): void {
    let previous = this.#integers[0] as number;
    this.#firsts.push(previous);
    for (let i = 1; i < count; i++) {
      const integer = this.#integers[i] as number;
      this.#deltas.push(integer - previous);
      previous = integer;
    }
  }

  /** Brings one metric's values into #values. */
  #gather(from: number, count: number, metric: number): void {
    if (this.#values.length < count) {
      this.#values = new Float64Array(count * 2);
      this.#integers = new Float64Array(count * 2);
    }
    for (let i = 0; i < count; i++) this.#values[i] = this.readings[from + i]?.values[metric]?.value ?? 0;
  }

  /** Where a difference to the value before does not fit. */
  #wideDifferences(count: number): number[] {
    const wide: number[] = [];
    for (let i = 1; i < count; i++) {
      if (!isInt32((this.#integers[i] as number) - (this.#integers[i - 1] as number))) wide.push(i);
    }
    return wide;
  }

  /** Hands over everything written. */
  finish(columns: Columns): void {
    const scaleRuns = new RunWriter();
    for (const n of this.#scales) scaleRuns.add(n);
    columns.scaleRuns = scaleRuns.finish();
    columns.firsts = this.#firsts;
    columns.deltas = this.#deltas;
    columns.doubles = this.#doubles;
  }
}
