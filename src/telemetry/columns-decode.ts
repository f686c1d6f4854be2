// Columns → readings. The columns are checked and unfolded as a whole (columns-read.ts); objects are made only for the
// readings that somebody asks for.
import type { Columns, State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { type EpochMs, epochMs } from '../kernel/duration.js';
import {
  BATCH_LIMITS,
  type ColumnsBounds,
  type ColumnsLimits,
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

/** Which readings are wanted; all by default. */
export interface Wanted {
  /** 0 for all sensors. */
  readonly sensor?: number;
  /** Included, milliseconds since 1970-01-01T00:00:00Z. */
  readonly from?: number;
  /** Not included. */
  readonly until?: number;
  /** Lowest number of a flush. */
  readonly fromFlush?: number;
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

/** The states of consecutive readings of one sensor, as parallel arrays that must not be changed. */
export interface StateArrays {
  readonly sensor: number;
  readonly takenAt: Float64Array;
  readonly state: Uint8Array;
  /** Of the last of them. */
  readonly message: string;
}

export interface TableOptions {
  /** By default those of a batch. */
  readonly limits?: ColumnsLimits;
  /** They have been checked before: flushes and messages are only read, and checked again, when they are asked for. */
  readonly checked?: boolean;
  /** Per reading: how many readings of sensors that are left out of these columns stand before it in its flush. */
  readonly lower?: () => ArrayLike<number>;
}

/** Checked Columns as flat arrays, in the order in which they are sent: by sensor, then as in the log. */
export class ReadingTable {
  readonly #firstFlush: number;
  readonly #flushCount: number;
  readonly #messages: readonly string[];
  readonly #columns: Columns;
  readonly #bounds: ColumnsBounds;
  readonly #series: readonly Series[];
  readonly #takenAt: Float64Array;
  readonly #state: Uint8Array;
  readonly #values: Float64Array;
  readonly #lower: (() => ArrayLike<number>) | undefined;
  #flushes: Uint32Array | undefined;
  #messageNumbers: Uint32Array | undefined;

  /** Throws telemetry.malformed. */
  constructor(columns: Columns, bounds: ColumnsBounds, { limits = BATCH_LIMITS, checked, lower }: TableOptions = {}) {
    const { firstFlush, flushCount, readingCount, valueCount } = bounds;
    checkSizes(columns, bounds, limits);
    this.#columns = columns;
    this.#bounds = bounds;
    this.#lower = lower;
    this.#firstFlush = firstFlush;
    this.#flushCount = flushCount;
    this.#messages = columns.messages;
    this.#series = readSeries(columns, bounds);
    this.#takenAt = readTimes(columns, this.#series, readingCount);
    this.#state = readStates(columns, readingCount);
    this.#values = readValues(columns, this.#series, valueCount);
    if (checked) return;
    this.#flushes = readFlushes(columns, this.#series, bounds);
    this.#messageNumbers = readMessages(columns, readingCount);
  }

  get #flush(): Uint32Array {
    this.#flushes ??= readFlushes(this.#columns, this.#series, this.#bounds);
    return this.#flushes;
  }

  get #message(): Uint32Array {
    this.#messageNumbers ??= readMessages(this.#columns, this.readingCount);
    return this.#messageNumbers;
  }

  get readingCount(): number {
    return this.#takenAt.length;
  }

  get valueCount(): number {
    return this.#values.length;
  }

  /** Characters of all messages, each text counted once. */
  get textLength(): number {
    return this.#messages.reduce((sum, { length }) => sum + length, 0);
  }

  /** Their numbers, ascending. */
  get sensors(): number[] {
    return [...new Set(this.#series.map(({ sensor }) => sensor))];
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

  /** The readings as they stand in the columns, by sensor and then as in the log; objects only for those wanted. */
  *placed({ sensor = 0, from = -Infinity, until = Infinity, fromFlush = 0 }: Wanted = {}): Generator<PlacedInBatch> {
    const place = this.#places();
    for (const series of this.#series) {
      const isWanted = sensor === 0 || series.sensor === sensor;
      for (let at = series.from; at < series.to; at++) {
        const position = place(at);
        const flush = this.#firstFlush + (this.#flush[at] as number);
        const takenAt = this.#takenAt[at] as number;
        if (!isWanted || flush < fromFlush || takenAt < from || takenAt >= until) continue;
        yield { reading: this.#reading(series, at), flush, position };
      }
    }
  }

  /** The last reading of each sensor in the order of the log, by sensor. Makes no other objects. */
  latest(): PlacedInBatch[] {
    const latest: PlacedInBatch[] = [];
    const place = this.#places();
    for (const [i, series] of this.#series.entries()) {
      let position = 0;
      for (let at = series.from; at < series.to; at++) position = place(at);
      if (this.#series[i + 1]?.sensor === series.sensor) continue;
      const last = series.to - 1;
      const flush = this.#firstFlush + (this.#flush[last] as number);
      latest.push({ reading: this.#reading(series, last), flush, position });
    }
    return latest;
  }

  /** Everything but messages and places, for whoever wants numbers and no objects. */
  series({ sensor = 0, fromFlush = 0 }: Pick<Wanted, 'sensor' | 'fromFlush'> = {}): SeriesArrays[] {
    return this.#series.flatMap(({ sensor: of, shape, from, to, values }) => {
      if (sensor !== 0 && of !== sensor) return [];
      let start = from;
      // Mostly all of it is wanted, and nobody need know its flushes.
      if (fromFlush > this.#firstFlush) {
        while (start < to && this.#firstFlush + (this.#flush[start] as number) < fromFlush) start += 1;
      }
      if (start === to) return [];
      const column = (metric: number) => {
        const at = values + metric * (to - from);
        return this.#values.subarray(at + start - from, at + to - from);
      };
      return {
        sensor: of,
        metrics: shape,
        takenAt: this.#takenAt.subarray(start, to),
        state: this.#state.subarray(start, to),
        values: shape.map((_, metric) => column(metric)),
      };
    });
  }

  /** By sensor, then as in the log. A sensor may come several times. */
  *states(): Generator<StateArrays> {
    for (const { sensor, from, to } of this.#series) {
      const [takenAt, state] = [this.#takenAt.subarray(from, to), this.#state.subarray(from, to)];
      yield { sensor, takenAt, state, message: this.#messageAt(to - 1) };
    }
  }

  /** Positions in canonical order; to be asked for every reading in turn. */
  #places(): (at: number) => number {
    const flushes = this.#flush;
    const lower = this.#lower?.();
    /** Per flush: how many of its readings have been asked for. */
    const seen = new Uint32Array(this.#flushCount);
    return (at) => {
      const flush = flushes[at] as number;
      const own = seen[flush] as number;
      seen[flush] = own + 1;
      return own + (lower?.[at] ?? 0);
    };
  }

  #reading(series: Series, index: number): Reading {
    return {
      sensor: series.sensor,
      takenAt: epochMs(this.#takenAt[index] as number),
      state: this.#state[index] as State,
      message: this.#messageAt(index),
      values: this.#valuesOf(series, index),
    };
  }

  #messageAt(index: number): string {
    const message = this.#message[index] as number;
    return message === 0 ? '' : (this.#messages[message - 1] as string);
  }

  #valuesOf(series: Series, index: number): MetricValue[] {
    const { shape, from, to } = series;
    const first = series.values + index - from;
    return shape.map(({ name, unit }, metric) => {
      return { name, unit, value: this.#values[first + metric * (to - from)] as number };
    });
  }
}
