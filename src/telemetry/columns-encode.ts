// Readings → Columns. The layout is described in telemetry.proto; the choice that it leaves to the writer: a column of
// values has the smallest scale that is exact for all its values, and is kept as doubles where there is none.
import { Columns, State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { bySensor, type Ordered } from './order.js';
import { PackedWriter } from './packed.js';
import type { Flush, Reading } from './reading.js';
import { RunWriter } from './runs.js';
import { ShapeWriter } from './shapes.js';
import { ValueWriter } from './values-write.js';

/** The readings of a contiguous range of flushes. Does not fail for readings that checkReading accepts. */
export function encodeColumns(flushes: readonly Flush[], firstFlush: number): Columns {
  return encodeOrdered(bySensor(flushes, firstFlush), flushes.length);
}

/** As encodeColumns, of readings that are in the order of Columns already. */
export function encodeOrdered(ordered: Ordered, flushCount: number): Columns {
  return new ColumnsWriter(ordered, flushCount).write();
}

class ColumnsWriter {
  readonly #readings: readonly Reading[];
  readonly #flushes: Uint32Array;
  readonly #sensors = new PackedWriter();
  readonly #counts = new PackedWriter();
  readonly #starts = new PackedWriter();
  readonly #steps = new PackedWriter();
  readonly #flushOffsets = new PackedWriter();
  readonly #shapes = new ShapeWriter();
  readonly #values: ValueWriter;
  readonly #stateRuns = new RunWriter();
  #allOk = true;
  readonly #messages = new Map<string, number>();
  readonly #messageRuns = new RunWriter();
  readonly #shapeRuns = new RunWriter();

  constructor(
    ordered: Ordered,
    private readonly flushCount: number,
  ) {
    this.#readings = ordered.readings;
    this.#flushes = ordered.flushes;
    this.#values = new ValueWriter(ordered.readings);
  }

  write(): Columns {
    const columns = Columns.create();
    const first = this.#readings[0];
    if (!first) return columns;
    let [sensor, start]: [number, number] = [0, first.takenAt];
    for (let from = 0; from < this.#readings.length; ) {
      const to = this.#endOfSeries(from);
      const reading = this.#reading(from);
      this.#sensors.add(reading.sensor - sensor);
      this.#counts.add(to - from);
      this.#starts.add(reading.takenAt - start);
      this.#shapeRuns.add(this.#shapes.of(reading.values));
      this.#writeReadings(from, to);
      this.#values.series(from, to);
      ({ sensor, takenAt: start } = reading);
      from = to;
    }
    columns.baseMs = first.takenAt;
    columns.sensors = this.#sensors.finish();
    columns.counts = this.#counts.finish();
    columns.startsMs = this.#starts.finish();
    columns.stepsMs = this.#steps.finish();
    if (this.flushCount > 1) columns.flushes = this.#flushOffsets.finish();
    if (!this.#allOk) columns.stateRuns = this.#stateRuns.finish();
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
  #endOfSeries(from: number): number {
    const { sensor, values } = this.#reading(from);
    let to = from + 1;
    for (; to < this.#readings.length; to++) {
      const reading = this.#reading(to);
      if (reading.sensor !== sensor || !sameShape(reading.values, values)) break;
    }
    return to;
  }

  #writeReadings(from: number, to: number): void {
    let before: number = this.#reading(from).takenAt;
    let flushBefore = 0;
    for (let i = from; i < to; i++) {
      const { takenAt, state, message } = this.#reading(i);
      if (i > from) this.#steps.add(takenAt - before);
      before = takenAt;
      const flush = this.#flushes[i] as number;
      this.#flushOffsets.add(flush - flushBefore);
      flushBefore = flush;
      this.#stateRuns.add(state);
      this.#allOk &&= state === State.OK;
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
