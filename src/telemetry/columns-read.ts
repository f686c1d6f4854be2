// The columns of received Columns, one function for each: everything is checked, and unfolded into flat arrays. Whoever
// sends Columns may be hostile: nothing is believed, and memory grows with what was received, never with what it claims.
// All functions throw telemetry.malformed.
import { type Columns, State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { malformed } from './fault.js';
import {
  fitsUtf8,
  isState,
  MAX_ABSOLUTE_MS,
  MAX_FLUSHES,
  MAX_MESSAGE_BYTES,
  MAX_READINGS,
  MAX_SENSOR,
} from './reading.js';
import { RunReader } from './runs.js';
import { AS_DOUBLES, power } from './scale.js';
import { readShapes, type Shape } from './shapes.js';

/** What the batch around the columns says about them. */
export interface ColumnsBounds {
  readonly firstFlush: number;
  readonly flushCount: number;
  readonly readingCount: number;
}

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
export function checkSizes(columns: Columns, { flushCount, readingCount }: ColumnsBounds): void {
  if (readingCount > MAX_READINGS) throw malformed('too many readings');
  if (flushCount > MAX_FLUSHES) throw malformed('too many flushes');
  if (columns.messages.length > readingCount) throw malformed('messages that no reading has');
  for (const message of columns.messages) if (!fitsUtf8(message, MAX_MESSAGE_BYTES)) throw malformed('a long message');
  // Every reading is either the first of a series or has a step of its own, so the count cannot lie.
  if (columns.counts.length + columns.stepsMs.length !== readingCount) throw malformed('the number of readings');
}

export function readSeries(columns: Columns, readingCount: number): Series[] {
  const { sensors, counts } = columns;
  if (sensors.length !== counts.length) throw malformed('the number of series');
  const shapes = readShapes(columns.metrics, columns.shapes, counts.length);
  const shapeRuns = new RunReader('shape_runs', columns.shapeRuns, shapes.length - 1);
  const series: Series[] = [];
  let sensor = 0;
  let from = 0;
  let values = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i] as number;
    sensor += sensors[i] as number;
    if (count === 0) throw malformed('an empty series');
    if (from + count > readingCount) throw malformed('the readings of a series');
    if (sensor > MAX_SENSOR) throw malformed('the number of a sensor');
    const shape = shapes[shapeRuns.next()] as Shape;
    series.push({ sensor, shape, from, to: from + count, values });
    from += count;
    values += count * shape.length;
  }
  shapeRuns.end();
  if (from !== readingCount) throw malformed('the readings of all series');
  return series;
}

export function readTimes(columns: Columns, series: readonly Series[], readingCount: number): Float64Array {
  const { startsMs, stepsMs } = columns;
  if (startsMs.length !== series.length) throw malformed('the number of starts_ms');
  if (startsMs.length > 0 && startsMs[0] !== 0) throw malformed('the first of starts_ms');
  const times = new Float64Array(readingCount);
  let start = columns.baseMs;
  let nextStep = 0;
  for (const [i, { from, to }] of series.entries()) {
    start += startsMs[i] as number;
    let time = start;
    let difference = 0;
    for (let at = from; at < to; at++) {
      if (at > from) {
        difference += stepsMs[nextStep++] as number;
        time += difference;
      }
      if (Math.abs(time) > MAX_ABSOLUTE_MS) throw malformed('a timestamp');
      times[at] = time;
    }
  }
  return times;
}

/** Per reading the number of its flush minus the first one. A sensor's flushes never go back: order is identity. */
export function readFlushes(columns: Columns, series: readonly Series[], bounds: ColumnsBounds): Uint32Array {
  const flushes = new Uint32Array(bounds.readingCount);
  const runs = new RunReader('flush_runs', columns.flushRuns, bounds.flushCount - 1);
  let sensor = -1;
  let last = 0;
  for (const { sensor: next, from, to } of series) {
    let flush = 0;
    for (let at = from; at < to; at++) {
      flush += runs.next();
      if (flush >= bounds.flushCount) throw malformed('a flush behind the last');
      if (at === from && next === sensor && flush < last) throw malformed('the order of series');
      flushes[at] = flush;
    }
    sensor = next;
    last = flush;
  }
  runs.end();
  return flushes;
}

export function readStates(columns: Columns, readingCount: number): Uint8Array {
  const states = new Uint8Array(readingCount);
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
  if (columns.messageRuns.length === 0) return messages;
  const runs = new RunReader('message_runs', columns.messageRuns, columns.messages.length);
  for (let at = 0; at < readingCount; at++) messages[at] = runs.next();
  runs.end();
  return messages;
}

export function readValues(columns: Columns, series: readonly Series[]): Float64Array {
  const { firsts, deltas, doubles } = columns;
  // Every value was received, as exactly one of these; what the counts and shapes claim has to match.
  const values = new Float64Array(firsts.length + deltas.length + doubles.length);
  const scales = new RunReader('scale_runs', columns.scaleRuns, AS_DOUBLES);
  let nextFirst = 0;
  let nextDelta = 0;
  let nextDouble = 0;
  let at = 0;
  for (const { shape, from, to } of series) {
    const count = to - from;
    for (let metric = 0; metric < shape.length; metric++) {
      const n = scales.next();
      if (n === AS_DOUBLES) {
        if (nextDouble + count > doubles.length) throw malformed('the number of doubles');
        for (let i = 0; i < count; i++) {
          const value = doubles[nextDouble++] as number;
          if (!Number.isFinite(value)) throw malformed('a value that is not finite');
          values[at++] = value;
        }
        continue;
      }
      if (nextFirst >= firsts.length) throw malformed('the number of firsts');
      if (nextDelta + count - 1 > deltas.length) throw malformed('the number of deltas');
      const factor = power(n);
      let integer = firsts[nextFirst++] as number;
      values[at++] = integer / factor;
      for (let i = 1; i < count; i++) {
        integer += deltas[nextDelta++] as number;
        if (!Number.isSafeInteger(integer)) throw malformed('an integer beyond 2^53');
        values[at++] = integer / factor;
      }
    }
  }
  scales.end();
  if (at !== values.length) throw malformed('values that belong to no series');
  return values;
}
