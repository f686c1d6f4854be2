// Summaries as they are stored: one sensor's sums of one day in windows of five minutes, only the windows that have any.
import { type MetricSummary, NumberColumn, SummaryBlock } from '../../../../gen/occmesh/store/v1/store.js';
import { malformed } from '../../../telemetry/fault.js';
import { PackedWriter, unpack } from '../../../telemetry/packed.js';
import { AS_DOUBLES, power, scale } from '../../../telemetry/scale.js';
import { Aggregation, type Buckets, type MetricSums, type SensorSums } from '../aggregate.js';

export const DAY = 86_400_000;
export const WINDOW = 300_000;
const WINDOWS = DAY / WINDOW;
/** Of one sensor on one day; a reading has 256 at most. */
const MOST_METRICS = 512;

export const dayOf = (takenAt: number): number => Math.floor(takenAt / DAY);
export const windowsOf = (day: number): Buckets => ({ from: day * DAY, until: (day + 1) * DAY, width: WINDOW });

/** To sum up one sensor on one day. */
export const newDay = (day: number): Aggregation => new Aggregation(windowsOf(day), MOST_METRICS);

/** A serialised SummaryBlock of sums with the windows of `day`. */
export function packSummaries({ states, metrics }: SensorSums, day: number): Uint8Array {
  const windows = filled(states.counts);
  return SummaryBlock.encode({
    windowCount: windows.length,
    windows: pack(windows),
    counts: packAt(states.counts, windows),
    worst: packAt(states.worst, windows),
    metrics: metrics.map((metric) => packMetric(metric, day * DAY)),
  }).finish();
}

/** Throws telemetry.malformed. */
export function openSummaries(value: Uint8Array, sensor: number, day: number): SensorSums {
  const { windowCount, windows, counts, worst, metrics } = SummaryBlock.decode(value);
  const places = openWindows(windows, windowCount);
  const states = {
    counts: Uint32Array.from(placed(places, unpack('counts', counts, windowCount))),
    worst: Uint8Array.from(placed(places, unpack('worst', worst, windowCount))),
  };
  return { sensor, states, metrics: metrics.map((metric) => openMetric(metric, day * DAY)) };
}

function packMetric(sums: MetricSums, start: number): MetricSummary {
  const windows = filled(sums.counts);
  const numbers = (of: Float64Array) => packNumbers(Float64Array.from(windows, (window) => of[window] as number));
  return {
    ...{ name: sums.name, unit: sums.unit, windowCount: windows.length },
    ...{ windows: pack(windows), counts: packAt(sums.counts, windows) },
    ...{ minimums: numbers(sums.minimums), maximums: numbers(sums.maximums) },
    ...{ sums: numbers(sums.sums), lasts: numbers(sums.lasts) },
    lastAt: pack(windows.map((window) => (sums.lastAt[window] as number) - start - window * WINDOW)),
  };
}

function openMetric(metric: MetricSummary, start: number): MetricSums {
  const { name, unit, windowCount } = metric;
  const places = openWindows(metric.windows, windowCount);
  const numbers = (column: NumberColumn | undefined) => placed(places, openNumbers(column, windowCount));
  return {
    ...{ name, unit, counts: Uint32Array.from(placed(places, unpack('counts', metric.counts, windowCount))) },
    ...{ minimums: numbers(metric.minimums), maximums: numbers(metric.maximums) },
    ...{ sums: numbers(metric.sums), lasts: numbers(metric.lasts) },
    lastAt: placed(places, unpack('last_at', metric.lastAt, windowCount)).map((at, i) => start + i * WINDOW + at),
  };
}

function packNumbers(values: Float64Array): NumberColumn {
  const integers = new Float64Array(values.length);
  const n = scale(values, values.length, integers);
  return n === AS_DOUBLES
    ? NumberColumn.fromPartial({ scale: n, doubles: [...values] })
    : NumberColumn.fromPartial({ scale: n, integers: pack(integers) });
}

function openNumbers(column: NumberColumn | undefined, count: number): Float64Array {
  if (!column || column.scale > AS_DOUBLES) throw malformed('a column of a summary');
  if (column.scale === AS_DOUBLES) {
    if (column.doubles.length !== count) throw malformed('the doubles of a summary');
    return Float64Array.from(column.doubles);
  }
  const factor = power(column.scale);
  return unpack('integers', column.integers, count).map((integer) => integer / factor);
}

function openWindows(windows: Uint8Array, count: number): Float64Array {
  if (count > WINDOWS) throw malformed('the number of windows');
  const places = unpack('windows', windows, count);
  if (places.some((place) => place < 0 || place >= WINDOWS)) throw malformed('a window');
  return places;
}

/** The values in their windows, 0 in the others. */
function placed(places: Float64Array, values: Float64Array): Float64Array {
  const all = new Float64Array(WINDOWS);
  for (let i = 0; i < places.length; i++) all[places[i] as number] = values[i] as number;
  return all;
}

/** Numbers of the windows in which there is something. */
function filled(counts: Uint32Array): number[] {
  const windows: number[] = [];
  for (let i = 0; i < counts.length; i++) if (counts[i] !== 0) windows.push(i);
  return windows;
}

function pack(integers: Iterable<number>): Uint8Array {
  const writer = new PackedWriter();
  for (const integer of integers) writer.add(integer);
  return writer.finish();
}

const packAt = (of: Uint32Array | Uint8Array, windows: readonly number[]): Uint8Array =>
  pack(windows.map((window) => of[window] as number));
