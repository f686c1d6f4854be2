// Columns → readings. The columns are checked and unfolded as a whole (columns-read.ts); objects are made only for the
// readings that somebody asks for.
import type { Columns, State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { type EpochMs, epochMs } from '../kernel/duration.js';
import {
  type ColumnsBounds,
  checkSizes,
  readFlushes,
  readMessages,
  readSeries,
  readStates,
  readTimes,
  readValues,
  type Series,
} from './columns-read.js';
import type { Flush, MetricValue, Reading } from './reading.js';

/** All flushes of the range, the empty ones too, each with its readings in canonical order. Throws telemetry.malformed. */
export function decodeColumns(columns: Columns, bounds: ColumnsBounds): Flush[] {
  return new ReadingTable(columns, bounds).flushes();
}

/** A reading with its place in the log. */
export interface PlacedInBatch {
  readonly reading: Reading;
  /** Number of its flush. */
  readonly flush: number;
  /** In canonical order. */
  readonly position: number;
}

/** Consecutive readings of one sensor with one shape, as parallel arrays that must not be changed. */
export interface SeriesArrays {
  readonly sensor: number;
  readonly metrics: Series['shape'];
  readonly takenAt: Float64Array;
  readonly state: Uint8Array;
  /** Of each of the metrics. */
  readonly values: readonly Float64Array[];
}

/** Checked Columns as flat arrays, in the order in which they are sent: by sensor, then as in the log. */
export class ReadingTable {
  readonly #firstFlush: number;
  readonly #flushCount: number;
  readonly #messages: readonly string[];
  readonly #series: readonly Series[];
  readonly #takenAt: Float64Array;
  readonly #flush: Uint32Array;
  readonly #state: Uint8Array;
  readonly #message: Uint32Array;
  readonly #values: Float64Array;

  /** Throws telemetry.malformed. */
  constructor(columns: Columns, bounds: ColumnsBounds) {
    const { firstFlush, flushCount, readingCount, valueCount } = bounds;
    checkSizes(columns, bounds);
    this.#firstFlush = firstFlush;
    this.#flushCount = flushCount;
    this.#messages = columns.messages;
    this.#series = readSeries(columns, bounds);
    this.#takenAt = readTimes(columns, this.#series, readingCount);
    this.#flush = readFlushes(columns, this.#series, bounds);
    this.#state = readStates(columns, readingCount);
    this.#message = readMessages(columns, readingCount);
    this.#values = readValues(columns, this.#series, valueCount);
  }

  get readingCount(): number {
    return this.#takenAt.length;
  }

  /** Lowest and highest timestamp; undefined when there is no reading. */
  timeSpan(): { readonly earliest: EpochMs; readonly latest: EpochMs } | undefined {
    if (this.#takenAt.length === 0) return undefined;
    let earliest = Number.POSITIVE_INFINITY;
    let latest = Number.NEGATIVE_INFINITY;
    for (const time of this.#takenAt) {
      if (time < earliest) earliest = time;
      if (time > latest) latest = time;
    }
    return { earliest: epochMs(earliest), latest: epochMs(latest) };
  }

  /** All flushes of the range, each with its readings in canonical order. */
  flushes(): Flush[] {
    const readings: Reading[][] = Array.from({ length: this.#flushCount }, () => []);
    for (const series of this.#series) {
      for (let i = series.from; i < series.to; i++) readings[this.#flush[i] as number]?.push(this.#reading(series, i));
    }
    return readings.map((of, i) => ({ number: this.#firstFlush + i, readings: of }));
  }

  /** Everything but messages and places, for whoever wants numbers and no objects; sensor 0 is all of them. */
  series({ sensor = 0 }: { readonly sensor?: number } = {}): SeriesArrays[] {
    const wanted = sensor === 0 ? this.#series : this.#series.filter((one) => one.sensor === sensor);
    return wanted.map(({ sensor: of, shape, from, to, values }) => {
      const count = to - from;
      return {
        sensor: of,
        metrics: shape,
        takenAt: this.#takenAt.subarray(from, to),
        state: this.#state.subarray(from, to),
        values: shape.map((_, i) => this.#values.subarray(values + i * count, values + (i + 1) * count)),
      };
    });
  }

  /** The last reading of each sensor in the order of the log, by sensor. Makes no other objects. */
  latest(): PlacedInBatch[] {
    const latest: PlacedInBatch[] = [];
    /** Per flush: how many readings stand before the next one. */
    const positions = new Uint32Array(this.#flushCount);
    for (const [i, series] of this.#series.entries()) {
      for (let at = series.from; at < series.to; at++) {
        const flush = this.#flush[at] as number;
        positions[flush] = (positions[flush] as number) + 1;
      }
      if (this.#series[i + 1]?.sensor === series.sensor) continue;
      const last = series.to - 1;
      const flush = this.#flush[last] as number;
      const position = (positions[flush] as number) - 1;
      latest.push({ reading: this.#reading(series, last), flush: this.#firstFlush + flush, position });
    }
    return latest;
  }

  #reading(series: Series, index: number): Reading {
    const message = this.#message[index] as number;
    return {
      sensor: series.sensor,
      takenAt: epochMs(this.#takenAt[index] as number),
      state: this.#state[index] as State,
      message: message === 0 ? '' : (this.#messages[message - 1] as string),
      values: this.#valuesOf(series, index),
    };
  }

  #valuesOf(series: Series, index: number): MetricValue[] {
    const { shape, from, to } = series;
    const values: MetricValue[] = [];
    let at = series.values + index - from;
    for (const { name, unit } of shape) {
      values.push({ name, unit, value: this.#values[at] as number });
      at += to - from;
    }
    return values;
  }
}
