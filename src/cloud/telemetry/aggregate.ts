// Readings summed up in buckets of time. Takes flat arrays, piece by piece, in the order of the log and not of time, and
// makes no object for a reading.
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { ApiFault } from '../../contract/fault.js';
import { worst } from '../../sensors/severity.js';
import type { SeriesArrays } from '../../telemetry/columns-decode.js';
import { mergeStates, mergeValues } from './merge-sums.js';

/** Bucket number n has the readings from `from` + n × `width` on, before the next one and before `until`. */
export interface Buckets {
  readonly from: number;
  readonly until: number;
  readonly width: number;
}

export const bucketCount = ({ from, until, width }: Buckets): number => Math.ceil((until - from) / width);

/** Of each bucket; 0 where there is no reading. */
export interface StateSums {
  readonly counts: Uint32Array;
  /** A State. */
  readonly worst: Uint8Array;
}

/** Of each bucket; where the count is 0, the others mean nothing. */
export interface MetricSums {
  readonly name: string;
  readonly unit: string;
  readonly counts: Uint32Array;
  readonly minimums: Float64Array;
  readonly maximums: Float64Array;
  readonly sums: Float64Array;
  /** The value with the latest timestamp, of several the last one in the order of the log. */
  readonly lasts: Float64Array;
  readonly lastAt: Float64Array;
}

export interface SensorSums {
  readonly sensor: number;
  readonly states: StateSums;
  /** By name, then unit. */
  readonly metrics: readonly MetricSums[];
}

/** Buckets of all series together, so that no call takes more than 12 MB. */
export const MAX_POINTS = 250_000;
/** What a series costs beside its buckets, in buckets. */
const SERIES_POINTS = 20;

export class Aggregation {
  readonly #sensors = new Map<number, { readonly states: StateSums; readonly metrics: Map<string, MetricSums> }>();
  readonly #count: number;
  /** The bucket of each reading that is being added, -1 for none; longer than needed. */
  #places = new Int32Array(0);
  #points = 0;

  /** Of each sensor only the first `mostMetrics` are summed up. */
  constructor(
    private readonly buckets: Buckets,
    private readonly mostMetrics = Number.POSITIVE_INFINITY,
  ) {
    this.#count = bucketCount(buckets);
  }

  /** By number; only those with a reading in the range. */
  get sensors(): SensorSums[] {
    const byNumber = [...this.#sensors].sort(([a], [b]) => a - b);
    return byNumber.map(([sensor, { states, metrics }]) => ({
      sensor,
      states,
      metrics: [...metrics.values()].sort((a, b) => (isBefore(a, b) ? -1 : 1)),
    }));
  }

  /** Faults: api.exhausted. */
  add({ sensor, metrics, takenAt, state, values }: SeriesArrays): void {
    if (!this.#place(takenAt)) return;
    const sums = this.#of(sensor);
    addStates(sums.states, this.#places, state);
    for (const [i, { name, unit }] of metrics.entries()) {
      const metric = this.#metric(sums.metrics, name, unit);
      if (metric) addValues(metric, this.#places, takenAt, values[i] ?? NO_VALUES);
    }
  }

  /** Adds what has been summed up before: each of those buckets as a whole, where it begins. Faults: api.exhausted. */
  merge({ sensor, states, metrics }: SensorSums, { from, width }: Pick<Buckets, 'from' | 'width'>): void {
    const startsOf = (counts: Uint32Array) =>
      Float64Array.from(counts, (count, i) => (count === 0 ? Number.NaN : from + i * width));
    if (!this.#place(startsOf(states.counts))) return;
    const sums = this.#of(sensor);
    mergeStates(sums.states, this.#places, states);
    for (const other of metrics) {
      if (!this.#place(startsOf(other.counts))) continue;
      const metric = this.#metric(sums.metrics, other.name, other.unit);
      if (metric) mergeValues(metric, this.#places, other);
    }
  }

  #metric(metrics: Map<string, MetricSums>, name: string, unit: string): MetricSums | undefined {
    // The length tells where the name ends.
    const key = `${name.length} ${name}${unit}`;
    const known = metrics.get(key);
    if (known || metrics.size >= this.mostMetrics) return known;
    const metric = this.#newMetric(name, unit);
    metrics.set(key, metric);
    return metric;
  }

  #of(sensor: number) {
    const known = this.#sensors.get(sensor);
    if (known) return known;
    this.#makeRoom();
    const states = { counts: new Uint32Array(this.#count), worst: new Uint8Array(this.#count) };
    const sums = { states, metrics: new Map<string, MetricSums>() };
    this.#sensors.set(sensor, sums);
    return sums;
  }

  #newMetric(name: string, unit: string): MetricSums {
    this.#makeRoom();
    const numbers = () => new Float64Array(this.#count);
    return {
      ...{ name, unit, counts: new Uint32Array(this.#count) },
      ...{ minimums: numbers(), maximums: numbers(), sums: numbers(), lasts: numbers(), lastAt: numbers() },
    };
  }

  /** For one more series. */
  #makeRoom(): void {
    this.#points += this.#count + SERIES_POINTS;
    if (this.#points <= MAX_POINTS) return;
    throw new ApiFault('api.exhausted', 'these are too many sensors and metrics for so many buckets', {
      permanent: true,
      advice: 'Ask for one sensor, or for wider buckets.',
    });
  }

  /** Finds the places. False when there is none for any reading. */
  #place(takenAt: Float64Array): boolean {
    const { from, until, width } = this.buckets;
    if (this.#places.length < takenAt.length) this.#places = new Int32Array(takenAt.length);
    const places = this.#places;
    let found = false;
    for (let i = 0; i < takenAt.length; i++) {
      const at = takenAt[i] as number;
      const inside = at >= from && at < until;
      places[i] = inside ? Math.floor((at - from) / width) : -1;
      found ||= inside;
    }
    return found;
  }
}

const isBefore = (a: MetricSums, b: MetricSums): boolean => (a.name === b.name ? a.unit < b.unit : a.name < b.name);

const NO_VALUES = new Float64Array(0);

function addStates({ counts, worst: worsts }: StateSums, places: Int32Array, states: Uint8Array): void {
  for (let i = 0; i < states.length; i++) {
    const place = places[i] as number;
    if (place < 0) continue;
    const state = states[i] as State;
    const count = counts[place] as number;
    counts[place] = count + 1;
    const before = worsts[place] as State;
    if (count === 0) worsts[place] = state;
    else if (state !== before && before !== State.CRITICAL) worsts[place] = worst(before, state);
  }
}

function addValues(sums: MetricSums, places: Int32Array, takenAt: Float64Array, values: Float64Array): void {
  const { counts, minimums, maximums, sums: totals, lasts, lastAt } = sums;
  for (let i = 0; i < takenAt.length; i++) {
    const place = places[i] as number;
    if (place < 0) continue;
    const value = values[i] as number;
    const at = takenAt[i] as number;
    const count = counts[place] as number;
    counts[place] = count + 1;
    totals[place] = (totals[place] as number) + value;
    if (count === 0 || value < (minimums[place] as number)) minimums[place] = value;
    if (count === 0 || value > (maximums[place] as number)) maximums[place] = value;
    if (count > 0 && at < (lastAt[place] as number)) continue;
    lasts[place] = value;
    lastAt[place] = at;
  }
}
