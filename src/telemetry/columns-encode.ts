// Readings → Columns. The layout is described in telemetry.proto; here are the choices that it leaves to the writer:
//
// - A series ends where a timestamp's step does not fit into 32 bits.
// - A column of values has the smallest scale that is exact for all its values; without one it is kept as doubles.
// - Where a difference of integers does not fit into 32 bits (a counter that starts again at 0), the series is cut
//   there. Columns that would be cut too often (noise of high precision) are kept as doubles instead. What has been
//   cut once is not cut again, so the work stays linear.
import { Columns } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { bySensor, type Ordered } from './order.js';
import type { Flush, Reading } from './reading.js';
import { RunWriter } from './runs.js';
import { isInt32 } from './scale.js';
import { ShapeWriter } from './shapes.js';
import { ValueWriter } from './values-write.js';

/** The readings of a contiguous range of flushes. Does not fail for readings that checkReading accepts. */
export function encodeColumns(flushes: readonly Flush[], firstFlush: number): Columns {
  return new ColumnsWriter(bySensor(flushes, firstFlush)).write();
}

class ColumnsWriter {
  readonly #readings: readonly Reading[];
  readonly #flushes: Uint32Array;
  readonly #columns: Columns = Columns.create();
  readonly #shapes = new ShapeWriter();
  readonly #values: ValueWriter;
  readonly #flushRuns = new RunWriter();
  readonly #stateRuns = new RunWriter();
  readonly #messages = new Map<string, number>();
  readonly #messageRuns = new RunWriter();
  readonly #shapeRuns = new RunWriter();
  #sensor = 0;
  #start = 0;

  constructor(ordered: Ordered) {
    this.#readings = ordered.readings;
    this.#flushes = ordered.flushes;
    this.#values = new ValueWriter(ordered.readings);
  }

  write(): Columns {
    const columns = this.#columns;
    const first = this.#readings[0];
    if (!first) return columns;
    columns.baseMs = first.takenAt;
    this.#start = first.takenAt;
    for (let from = 0; from < this.#readings.length; ) {
      const to = this.#endOfShape(from);
      this.#series(from, to, this.#shapes.of(this.#reading(from).values), true);
      from = to;
    }
    columns.flushRuns = this.#flushRuns.finish();
    columns.stateRuns = this.#stateRuns.finish();
    columns.messages = [...this.#messages.keys()];
    if (columns.messages.length > 0) columns.messageRuns = this.#messageRuns.finish();
    columns.metrics = this.#shapes.metrics;
    columns.shapes = this.#shapes.shapes;
    columns.shapeRuns = this.#shapeRuns.finish();
    this.#values.finish(columns);
    return columns;
  }

  #reading(index: number): Reading {
    return this.#readings[index] as Reading;
  }

  /** Where the sensor or the shape changes next. */
  #endOfShape(from: number): number {
    const { sensor, values } = this.#reading(from);
    let to = from + 1;
    for (; to < this.#readings.length; to++) {
      const reading = this.#reading(to);
      if (reading.sensor !== sensor || !sameShape(reading.values, values)) break;
    }
    return to;
  }

  /** Writes readings of one sensor and shape as one series, or several where something does not fit. */
  #series(from: number, to: number, shape: number, mayCut: boolean): void {
    for (let at = from; at < to; ) {
      const end = this.#endOfSteps(at, to);
      const cuts = this.#values.series(at, end, mayCut);
      if (cuts.length === 0) {
        this.#writeReadings(at, end, shape);
      } else {
        let begin = at;
        for (const cut of [...cuts, end]) {
          this.#series(begin, cut, shape, false);
          begin = cut;
        }
      }
      at = end;
    }
  }

  /** Where the next timestamp cannot be written as a step. */
  #endOfSteps(from: number, to: number): number {
    let before = this.#reading(from).takenAt;
    let difference = 0;
    for (let i = from + 1; i < to; i++) {
      const time = this.#reading(i).takenAt;
      if (!isInt32(time - before - difference)) return i;
      difference = time - before;
      before = time;
    }
    return to;
  }

  /** Everything of a series but its values. */
  #writeReadings(from: number, to: number, shape: number): void {
    const columns = this.#columns;
    const first = this.#reading(from);
    columns.sensors.push(first.sensor - this.#sensor);
    columns.counts.push(to - from);
    columns.startsMs.push(first.takenAt - this.#start);
    this.#shapeRuns.add(shape);
    this.#sensor = first.sensor;
    this.#start = first.takenAt;
    let before: number = first.takenAt;
    let difference = 0;
    let flushBefore = 0;
    for (let i = from; i < to; i++) {
      const { takenAt, state, message } = this.#reading(i);
      if (i > from) {
        columns.stepsMs.push(takenAt - before - difference);
        difference = takenAt - before;
        before = takenAt;
      }
      const flush = this.#flushes[i] as number;
      this.#flushRuns.add(flush - flushBefore);
      flushBefore = flush;
      this.#stateRuns.add(state);
      this.#messageRuns.add(message === '' ? 0 : this.#messageNumber(message));
    }
  }

  #messageNumber(message: string): number {
    const known = this.#messages.get(message);
    if (known !== undefined) return known;
    const number = this.#messages.size + 1;
    this.#messages.set(message, number);
    return number;
  }
}

function sameShape(a: Reading['values'], b: Reading['values']): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i]?.name !== b[i]?.name || a[i]?.unit !== b[i]?.unit) return false;
  }
  return true;
}
