// The columns of received Columns, one function for each: everything is checked, and unfolded into flat arrays. Whoever
// sends Columns may be hostile: nothing is believed, and memory is bounded by the limits of the format, whatever is claimed.
// All functions throw telemetry.malformed.
//
// Large arrays cost more to be collected than to be filled. So differences are unfolded into the end of the array that the
// sums go into: there are no more of them than of sums still to be written, and each is read before its place is taken.
import { type Columns, State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { malformed } from './fault.js';
import { unpack, unpackInto } from './packed.js';
import {
  fitsUtf8,
  isState,
  MAX_ABSOLUTE_MS,
  MAX_FLUSHES,
  MAX_MESSAGE_BYTES,
  MAX_READINGS,
  MAX_SENSOR,
  MAX_VALUES,
} from './reading.js';
import { FirstUse, lengthOfRuns, RunReader } from './runs.js';
import { AS_DOUBLES, MAX_INTEGER, power } from './scale.js';
import { readShapes, type Shape } from './shapes.js';

/** What the batch around the columns says about them. */
export interface ColumnsBounds {
  readonly firstFlush: number;
  readonly flushCount: number;
  readonly readingCount: number;
  readonly valueCount: number;
}

/** How much may be unfolded at a time. */
export interface ColumnsLimits {
  readonly flushes: number;
  readonly readings: number;
  readonly values: number;
}

export const BATCH_LIMITS: ColumnsLimits = { flushes: MAX_FLUSHES, readings: MAX_READINGS, values: MAX_VALUES };

/** Consecutive readings of one sensor with one shape. */
export interface Series {
  readonly sensor: number;
  readonly shape: Shape;
  /** Index of its first reading, and of the one behind its last. */
  readonly from: number;
  readonly to: number;
  /** Where its values begin: metric after metric, each with all readings. */
  readonly values: number;
}

/** What can be told without reading a column. The other functions rely on it. */
export function checkSizes(columns: Columns, bounds: ColumnsBounds, limits: ColumnsLimits): void {
  const { flushCount, readingCount, valueCount } = bounds;
  if (valueCount > limits.values) throw malformed('too many values');
  if (readingCount > limits.readings) throw malformed('too many readings');
  if (flushCount > limits.flushes) throw malformed('too many flushes');
  if (columns.messages.length > readingCount) throw malformed('messages that no reading has');
  for (const message of columns.messages) if (!fitsUtf8(message, MAX_MESSAGE_BYTES)) throw malformed('a long message');
}

export function readSeries(columns: Columns, { readingCount, valueCount }: ColumnsBounds): Series[] {
  const seriesCount = lengthOfRuns(columns.shapeRuns);
  if (seriesCount > readingCount) throw malformed('the number of series');
  const sensors = unpack('sensors', columns.sensors, seriesCount);
  const counts = unpack('counts', columns.counts, seriesCount);
  const shapes = readShapes(columns.metrics, columns.shapes, seriesCount);
  const shapeRuns = new RunReader('shape_runs', columns.shapeRuns, shapes.length - 1);
  const used = new FirstUse('shapes', shapes.length);
  const series: Series[] = [];
  let sensor = 0;
  let from = 0;
  let values = 0;
  for (let i = 0; i < seriesCount; i++) {
    const [more, count] = [sensors[i] as number, counts[i] as number];
    sensor += more;
    if (count < 1) throw malformed('an empty series');
    if (from + count > readingCount) throw malformed('the readings of a series');
    if (more < 0 || sensor > MAX_SENSOR) throw malformed('the number of a sensor');
    const index = shapeRuns.next();
    used.use(index);
    const shape = shapes[index] as Shape;
    series.push({ sensor, shape, from, to: from + count, values });
    from += count;
    values += count * shape.length;
  }
  shapeRuns.end();
  used.end();
  if (from !== readingCount) throw malformed('the readings of all series');
  if (values !== valueCount) throw malformed('the number of values');
  return series;
}

export function readTimes(columns: Columns, series: readonly Series[], readingCount: number): Float64Array {
  const starts = unpack('starts_ms', columns.startsMs, series.length);
  if (starts.length > 0 && starts[0] !== 0) throw malformed('the first of starts_ms');
  const times = new Float64Array(readingCount);
  const steps = times.subarray(series.length);
  unpackInto('steps_ms', columns.stepsMs, steps);
  let start = columns.baseMs;
  let nextStep = 0;
  for (let i = 0; i < series.length; i++) {
    const { from, to } = series[i] as Series;
    start += starts[i] as number;
    let time = start;
    for (let at = from; at < to; at++) {
      if (at > from) time += steps[nextStep++] as number;
      if (Math.abs(time) > MAX_ABSOLUTE_MS) throw malformed('a timestamp');
      times[at] = time;
    }
  }
  return times;
}

/** Per reading the number of its flush minus the first one. A sensor's flushes never go back: order is identity. */
export function readFlushes(columns: Columns, series: readonly Series[], bounds: ColumnsBounds): Uint32Array {
  const flushes = new Uint32Array(bounds.readingCount);
  if (bounds.flushCount === 1 && columns.flushes.length === 0) return flushes;
  const steps = unpack('flushes', columns.flushes, bounds.readingCount);
  let sensor = -1;
  let last = 0;
  for (const { sensor: next, from, to } of series) {
    let flush = 0;
    for (let at = from; at < to; at++) {
      const step = steps[at] as number;
      flush += step;
      if (step < 0 || flush >= bounds.flushCount) throw malformed('a flush that cannot be');
      if (at === from && next === sensor && flush < last) throw malformed('the order of series');
      flushes[at] = flush;
    }
    sensor = next;
    last = flush;
  }
  return flushes;
}

export function readStates(columns: Columns, readingCount: number): Uint8Array {
  const states = new Uint8Array(readingCount);
  if (columns.stateRuns.length === 0) return states.fill(State.OK);
  const runs = new RunReader('state_runs', columns.stateRuns, State.UNKNOWN);
  for (let at = 0; at < readingCount; at++) {
    const state = runs.next();
    if (!isState(state)) throw malformed('a state');
    states[at] = state;
  }
  runs.end();
  return states;
}

/** Per reading 0, or 1 + the index of its message. */
export function readMessages(columns: Columns, readingCount: number): Uint32Array {
  const messages = new Uint32Array(readingCount);
  const used = new FirstUse('messages', columns.messages.length);
  if (columns.messageRuns.length > 0) {
    const runs = new RunReader('message_runs', columns.messageRuns, columns.messages.length);
    for (let at = 0; at < readingCount; at++) {
      const message = runs.next();
      if (message > 0) used.use(message - 1);
      messages[at] = message;
    }
    runs.end();
  }
  used.end();
  return messages;
}

export function readValues(columns: Columns, series: readonly Series[], valueCount: number): Float64Array {
  const { doubles } = columns;
  const scales = readScales(columns, series);
  let [integers, firstCount] = [0, 0];
  let column = 0;
  for (const { shape, from, to } of series) {
    for (let metric = 0; metric < shape.length; metric++) {
      if (scales[column++] === AS_DOUBLES) continue;
      integers += to - from;
      firstCount += 1;
    }
  }
  if (doubles.length !== valueCount - integers) throw malformed('the number of doubles');
  const firsts = unpack('firsts', columns.firsts, firstCount);
  const result = new Float64Array(valueCount);
  const deltas = result.subarray(valueCount - (integers - firstCount));
  unpackInto('deltas', columns.deltas, deltas);
  let [nextFirst, nextDelta, nextDouble, at] = [0, 0, 0, 0];
  column = 0;
  for (const { shape, from, to } of series) {
    for (let metric = 0; metric < shape.length; metric++) {
      const n = scales[column++] as number;
      const end = at + to - from;
      if (n === AS_DOUBLES) {
        while (at < end) result[at++] = finite(doubles[nextDouble++] as number);
        continue;
      }
      const factor = power(n);
      let integer = firsts[nextFirst++] as number;
      for (;;) {
        if (Math.abs(integer) > MAX_INTEGER) throw malformed('an integer of 2^51 or more');
        result[at++] = integer / factor;
        if (at === end) break;
        integer += deltas[nextDelta++] as number;
      }
    }
  }
  return result;
}

/** Per series and metric. */
function readScales(columns: Columns, series: readonly Series[]): Uint8Array {
  const scales = new Uint8Array(series.reduce((sum, { shape }) => sum + shape.length, 0));
  const runs = new RunReader('scale_runs', columns.scaleRuns, AS_DOUBLES);
  for (let column = 0; column < scales.length; column++) scales[column] = runs.next();
  runs.end();
  return scales;
}

function finite(value: number): number {
  if (!Number.isFinite(value)) throw malformed('a value that is not finite');
  return value;
}
