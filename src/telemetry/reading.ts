// What a reading is, which readings are valid, and their order in a flush. How they are written is in columns-*.ts.
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { EpochMs } from '../kernel/duration.js';
import { TelemetryFault } from './fault.js';

/** One measured quantity. */
export interface MetricValue {
  /** 1 to 128 bytes of UTF-8, unique within a reading. */
  readonly name: string;
  /** UCUM or Nagios notation, at most 64 bytes; empty for a plain number. */
  readonly unit: string;
  /** Finite. */
  readonly value: number;
}

/** What one sensor said at one moment. */
export interface Reading {
  /** Number of the sensor on its hub, unsigned 32 bits. */
  readonly sensor: number;
  readonly takenAt: EpochMs;
  readonly state: State;
  /** For people, at most 1,024 bytes of UTF-8; empty for none. */
  readonly message: string;
  /** At most 256, in the sensor's own order. */
  readonly values: readonly MetricValue[];
}

/** What a hub made durable in one step. A reading's position is its index in canonicalOrder(readings). */
export interface Flush {
  /** Number within the log, from 0 without holes. */
  readonly number: number;
  readonly readings: readonly Reading[];
}

export const MAX_READINGS = 4_096;
export const MAX_FLUSHES = 4_096;
export const MAX_MESSAGE_BYTES = 1_024;
export const MAX_NAME_BYTES = 128;
export const MAX_UNIT_BYTES = 64;
export const MAX_METRICS = 256;
/** Of all readings of a batch together: constant ones take hardly a byte, and eight in memory. */
export const MAX_VALUES = 262_144;
/** So that the difference of any two timestamps, and of two such differences, is still exact; about the year 73,000. */
export const MAX_ABSOLUTE_MS: number = 2 ** 51 - 1;
export const MAX_SENSOR = 2 ** 32 - 1;

/** Sorted by sensor; readings of one sensor keep their order. Returns the same array when it is sorted already. */
export function canonicalOrder(readings: readonly Reading[]): readonly Reading[] {
  let before = -1;
  for (const { sensor } of readings) {
    if (sensor < before) return sorted(readings);
    before = sensor;
  }
  return readings;
}

/** By numbers that have the sensor in front and the place behind: those are sorted ten times as fast as objects. */
function sorted(readings: readonly Reading[]): readonly Reading[] {
  const { length } = readings;
  const keys = new Float64Array(length);
  for (let i = 0; i < length; i++) keys[i] = (readings[i] as Reading).sensor * length + i;
  keys.sort();
  const result: Reading[] = [];
  for (const key of keys) result.push(readings[key % length] as Reading);
  return result;
}

/** True for the four states that may be sent. */
export function isState(value: number): value is State {
  return value >= State.OK && value <= State.UNKNOWN;
}

/** Whether `text` takes at most `limit` bytes as UTF-8. One UTF-16 unit takes at most three. */
export function fitsUtf8(text: string, limit: number): boolean {
  return text.length * 3 <= limit || (text.length <= limit && Buffer.byteLength(text) <= limit);
}

// With the flag u, a surrogate matches only where it stands alone. Such text has no UTF-8 form.
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Throws TelemetryFault telemetry.invalid when the reading breaks the contract. To be called once, where a reading
 * enters the hub: one bad reading that got into a batch would make every receiver refuse the whole batch.
 */
export function checkReading(reading: Reading): void {
  const { sensor, takenAt, state, message, values } = reading;
  if (!Number.isInteger(sensor) || sensor < 0 || sensor > MAX_SENSOR) throw invalid(reading, 'the sensor number');
  if (!Number.isInteger(takenAt) || Math.abs(takenAt) > MAX_ABSOLUTE_MS) throw invalid(reading, 'the timestamp');
  if (!Number.isInteger(state) || !isState(state)) throw invalid(reading, 'the state');
  if (!isText(message, MAX_MESSAGE_BYTES)) throw invalid(reading, 'the message');
  if (values.length > MAX_METRICS) throw invalid(reading, 'the number of metrics');
  for (const { name, unit, value } of values) {
    if (name === '' || !isText(name, MAX_NAME_BYTES)) throw invalid(reading, 'the name of a metric');
    if (!isText(unit, MAX_UNIT_BYTES)) throw invalid(reading, `the unit of ${name}`);
    if (!Number.isFinite(value)) throw invalid(reading, `the value of ${name}`);
  }
  if (values.length > 1 && new Set(values.map(({ name }) => name)).size !== values.length)
    throw invalid(reading, 'a metric that occurs twice');
}

function isText(text: string, limit: number): boolean {
  return fitsUtf8(text, limit) && !LONE_SURROGATE.test(text);
}

function invalid(reading: Reading, what: string): TelemetryFault {
  const message = `invalid reading of sensor ${reading.sensor}: ${what}`;
  return new TelemetryFault('telemetry.invalid', message, { permanent: true });
}
