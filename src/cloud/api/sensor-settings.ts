// Checking what somebody configures against the catalogue of sensor kinds, and completing it from there.
import type { Threshold } from '../../../gen/occmesh/link/v1/link.js';
import { invalid } from '../../contract/status.js';
import { describe } from '../../kernel/fault.js';
import { CATALOGUE, describeKind } from '../../sensors/catalogue.js';
import { DEFAULT_SENSORS } from '../../sensors/defaults.js';
import type { SensorDescription } from '../../sensors/kind.js';
import { checkSettings } from '../../sensors/setting-problems.js';
import { couldMatch, parseThreshold } from '../../sensors/thresholds.js';
import type { SensorRecord } from '../inventory/records.js';
import type { DescribeSecrets } from '../inventory/secret-fields.js';
import type { NewSensor } from '../inventory/sensors.js';
import { requireRange } from './validation.js';

export type Settings = SensorRecord['settings'];

const MAX_INTERVAL = 86_400_000;
const MAX_THRESHOLDS = 64;

/** What every new hub begins with. */
export function defaultSensors(): NewSensor[] {
  return DEFAULT_SENSORS.map(({ name, kind, settings }) => {
    const { defaults } = requireKind(kind);
    return {
      name,
      kind,
      settings: requireSettings(kind, settings),
      intervalMs: defaults.interval,
      timeoutMs: defaults.timeout,
      thresholds: defaults.thresholds,
      paused: false,
    };
  });
}

/** Of a kind that has any, with settings that this program understands. */
export const secretsOf: DescribeSecrets = ({ kind, settings }) => {
  const description = describeKind(kind);
  const parsed = description?.secrets && description.settings.safeParse(settings);
  if (!parsed?.success || !description?.secrets) return undefined;
  return { fields: description.secrets.fields, target: description.secrets.target(parsed.data) };
};

/** Faults: api.invalid, with the list of kinds. */
export function requireKind(kind: string): SensorDescription<unknown> {
  const found = describeKind(kind);
  if (!found) throw invalid('kind', `there is no kind "${kind}"; there are ${Object.keys(CATALOGUE).join(', ')}`);
  return found;
}

/**
 * The settings as they were given, once the kind's schema has accepted them: the hub completes them with its own
 * program's defaults. Faults: api.invalid.
 */
export function requireSettings(kind: string, settings: Readonly<Record<string, unknown>> | undefined): Settings {
  const given = settings ?? {};
  const { problems } = checkSettings(requireKind(kind), given);
  if (problems !== undefined) throw invalid('settings', problems);
  // What came out of a Struct is JSON already; the copy drops what never was in the message.
  return JSON.parse(JSON.stringify(given));
}

/** Interval and timeout; 0 stands for the kind's default. Faults: api.invalid. */
export function requireTimes(kind: string, given: { intervalMs: number; timeoutMs: number }): typeof given {
  const { defaults } = requireKind(kind);
  const intervalMs = requireInterval(given.intervalMs || defaults.interval);
  // A short interval alone should not be refused because the default timeout is longer.
  const timeoutMs = given.timeoutMs || Math.min(defaults.timeout, Math.floor(intervalMs * 0.8));
  if (timeoutMs >= intervalMs)
    throw invalid('timeout_ms', `must be less than interval_ms (${intervalMs}), is ${timeoutMs}`);
  return { intervalMs, timeoutMs };
}

export const requireInterval = (ms: number): number => requireRange('interval_ms', ms, 1_000, MAX_INTERVAL);
export const requireAttempts = (count: number): number => requireRange('attempts', count, 1, 10);
export const requireTimeout = (ms: number): number => requireRange('timeout_ms', ms, 1, MAX_INTERVAL - 1);

/** Of metrics that the kind can have, where these are known. Faults: api.invalid. */
export function requireThresholds(kind: string, thresholds: readonly Threshold[]): Threshold[] {
  const { metrics } = requireKind(kind);
  if (thresholds.length > MAX_THRESHOLDS) throw invalid('thresholds', `there may be at most ${MAX_THRESHOLDS}`);
  return thresholds.map(({ metric, warning, critical }, i) => {
    if (metric.length > 256) throw invalid(`thresholds[${i}].metric`, 'must have at most 256 characters');
    if (metrics && !metrics.some((name) => couldMatch(metric, name))) {
      throw invalid(`thresholds[${i}].metric`, `${kind} never measures "${metric}", but ${metrics.join(', ')}`);
    }
    try {
      parseThreshold({ metric, warning, critical });
    } catch (thrown) {
      throw invalid(`thresholds[${i}]`, describe(thrown));
    }
    return { metric, warning, critical };
  });
}
