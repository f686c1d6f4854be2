// Thresholds: reading the range syntax of the monitoring plugins' guidelines, and judging values by it.
//   10     alarm below 0 or above 10        10:20   alarm below 10 or above 20
//   10:    alarm below 10                   @10:20  alarm from 10 to 20
//   ~:10   alarm above 10
// https://www.monitoring-plugins.org/doc/guidelines.html#THRESHOLDFORMAT
import type { Threshold } from '../../gen/occmesh/link/v1/link.js';
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { MetricValue } from '../telemetry/reading.js';
import { SensorFault } from './fault.js';
import { worst } from './severity.js';

export interface Range {
  readonly start: number;
  readonly end: number;
  /** Alarm inside, bounds included, instead of outside. */
  readonly inside: boolean;
}

export interface ParsedThreshold {
  /** A metric's name; one `*` stands for any characters. */
  readonly metric: string;
  readonly warning: Range | undefined;
  readonly critical: Range | undefined;
}

export interface Verdict {
  readonly state: State;
  /** Why; empty when the state is OK. */
  readonly message: string;
}

const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?$/i;
const MAX_REASONS = 3;

function bound(text: string, whole: string): number {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  if (Number.isFinite(value)) return value;
  throw new SensorFault('sensor.threshold', `"${whole}" is not a range: "${text}" is not a number`, {
    permanent: true,
    advice: 'Write it like 10, 10:, ~:10, 10:20 or @10:20, with a point for decimals.',
  });
}

/** Reads a range. Throws `sensor.threshold`. */
export function parseRange(text: string): Range {
  const inside = text.startsWith('@');
  const body = inside ? text.slice(1) : text;
  const colon = body.indexOf(':');
  const from = colon < 0 ? '' : body.slice(0, colon);
  const to = colon < 0 ? body : body.slice(colon + 1);
  const start = from === '' ? 0 : from === '~' ? Number.NEGATIVE_INFINITY : bound(from, text);
  const end = to === '' && colon >= 0 ? Number.POSITIVE_INFINITY : bound(to, text);
  if (start > end) {
    throw new SensorFault('sensor.threshold', `"${text}" is not a range: ${start} is more than ${end}`, {
      permanent: true,
      advice: colon < 0 ? `For an alarm above a negative number write ~:${to}.` : 'Write the lower bound first.',
    });
  }
  return { start, end, inside };
}

/** Reads both ranges of a threshold; an empty one never alarms. Throws `sensor.threshold`. */
export function parseThreshold(threshold: Threshold): ParsedThreshold {
  if (threshold.metric === '')
    throw new SensorFault('sensor.threshold', 'a threshold names no metric', { permanent: true });
  const read = (text: string) => (text.trim() === '' ? undefined : parseRange(text.trim()));
  return { metric: threshold.metric, warning: read(threshold.warning), critical: read(threshold.critical) };
}

/** Whether a value within the meaning of this range is bad. */
export function alarms(range: Range, value: number): boolean {
  const within = value >= range.start && value <= range.end;
  return range.inside ? within : !within;
}

function matches(pattern: string, name: string): boolean {
  const star = pattern.indexOf('*');
  if (star < 0 || pattern === name) return pattern === name;
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return name.length >= head.length + tail.length && name.startsWith(head) && name.endsWith(tail);
}

/** Whether some name could match both patterns: what stands before their stars fits, and what stands behind them. */
export function couldMatch(one: string, other: string): boolean {
  const [a, b] = [one.indexOf('*'), other.indexOf('*')];
  if (a < 0) return matches(other, one);
  if (b < 0) return matches(one, other);
  const [headA, headB, tailA, tailB] = [one.slice(0, a), other.slice(0, b), one.slice(a + 1), other.slice(b + 1)];
  const heads = headA.startsWith(headB) || headB.startsWith(headA);
  return heads && (tailA.endsWith(tailB) || tailB.endsWith(tailA));
}

const show = (value: number) => String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));

function reason(metric: MetricValue, range: Range): string {
  const what = `${metric.name} ${show(metric.value)}${metric.unit === '' ? '' : ` ${metric.unit}`}`;
  if (range.inside) return `${what} is within ${show(range.start)} to ${show(range.end)}`;
  return metric.value > range.end ? `${what} is over ${show(range.end)}` : `${what} is under ${show(range.start)}`;
}

function judge(threshold: ParsedThreshold, metric: MetricValue): Verdict {
  const { warning, critical } = threshold;
  if (critical && alarms(critical, metric.value)) return { state: State.CRITICAL, message: reason(metric, critical) };
  if (warning && alarms(warning, metric.value)) return { state: State.WARNING, message: reason(metric, warning) };
  return { state: State.OK, message: '' };
}

/**
 * The worst state by all thresholds, with the reasons for it. A threshold that names a metric which was not measured
 * makes it UNKNOWN: an alarm that can never ring must not look like health. One with a `*` may match nothing.
 */
export function evaluate(thresholds: readonly ParsedThreshold[], values: readonly MetricValue[]): Verdict {
  const verdicts: Verdict[] = [];
  for (const threshold of thresholds) {
    const judged = values.filter((metric) => matches(threshold.metric, metric.name));
    for (const metric of judged) verdicts.push(judge(threshold, metric));
    if (judged.length === 0 && !threshold.metric.includes('*')) {
      verdicts.push({ state: State.UNKNOWN, message: `${threshold.metric} was not measured` });
    }
  }
  const state = verdicts.reduce((worstYet, verdict) => worst(worstYet, verdict.state), State.OK);
  if (state === State.OK) return { state, message: '' };
  const reasons = [...new Set(verdicts.filter((verdict) => verdict.state === state).map((verdict) => verdict.message))];
  const more = reasons.length - MAX_REASONS;
  const message = reasons.slice(0, MAX_REASONS).join(', ') + (more > 0 ? ` and ${more} more` : '');
  return { state, message };
}
