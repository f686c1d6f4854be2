// From what a sensor measured to the reading that is stored: the verdict by thresholds, and everything within the limits
// of the telemetry contract (telemetry.proto), whatever a plugin or a server put into names, texts and numbers.
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { EpochMs } from '../kernel/duration.js';
import { plainLine } from '../kernel/text.js';
import {
  MAX_MESSAGE_BYTES,
  MAX_METRICS,
  MAX_NAME_BYTES,
  MAX_UNIT_BYTES,
  type MetricValue,
  type Reading,
} from '../telemetry/reading.js';
import type { Measurement } from './kind.js';
import { worst } from './severity.js';
import { evaluate, type ParsedThreshold } from './thresholds.js';

/** One printable line of well-formed UTF-8 with at most `limit` bytes. */
export function tidyText(text: string, limit: number): string {
  const bytes = Buffer.from(plainLine(text));
  let end = Math.min(bytes.length, limit);
  // Back to the beginning of a character: continuation bytes are 10xxxxxx.
  while (end < bytes.length && end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** Finite values under unique, short names. */
export function tidyValues(values: readonly MetricValue[]): MetricValue[] {
  const kept = new Map<string, MetricValue>();
  for (const { name, unit, value } of values) {
    const tidy = tidyText(name, MAX_NAME_BYTES);
    if (tidy === '' || kept.has(tidy) || !Number.isFinite(value)) continue;
    if (kept.size >= MAX_METRICS) break;
    // Adding 0 makes a plain zero of the negative one, which no integer column can carry.
    kept.set(tidy, { name: tidy, unit: tidyText(unit, MAX_UNIT_BYTES), value: value + 0 });
  }
  return [...kept.values()];
}

/** The reading of one run. Thresholds make the sensor's own verdict worse, never better. */
export function toReading(
  sensor: number,
  takenAt: EpochMs,
  measurement: Measurement,
  thresholds: readonly ParsedThreshold[],
): Reading {
  const values = tidyValues(measurement.values);
  const own = measurement.state ?? State.OK;
  const said = measurement.message ?? '';
  // What failed to be measured has no values to judge; its own verdict is all there is.
  const verdict = own !== State.OK && values.length === 0 ? undefined : evaluate(thresholds, values);
  const state = verdict ? worst(own, verdict.state) : own;
  const reasons = [verdict?.state === state ? verdict.message : '', said].filter((text) => text !== '');
  return { sensor, takenAt, state, message: tidyText(reasons.join('; '), MAX_MESSAGE_BYTES), values };
}
