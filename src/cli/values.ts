// Reading what people type: durations, moments, addresses, settings, thresholds. Each reader throws a BadValue whose
// message completes the sentence "… is not good: ". The same readers serve flags and configuration files.
import { isAbsolute, resolve } from 'node:path';
import type { Threshold } from '../client/index.js';
import { formatAddress, parseAddress } from '../discovery/hint.js';
import { type Duration, type EpochMs, epochMs, parseDuration } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import { parseRange } from '../sensors/thresholds.js';

export class BadValue extends Error {}

/** Reads one value; relative paths are taken from `base`. */
export type Reader<T> = (text: string, base: string) => T;

export const anyText: Reader<string> = (text) => {
  if (text.trim() === '') throw new BadValue('it is empty');
  return text;
};

export const path: Reader<string> = (text, base) => {
  const wanted = anyText(text, base);
  return isAbsolute(wanted) ? wanted : resolve(base, wanted);
};

/** A path, or `-` for standard input. */
export const pathOrStdin: Reader<string> = (text, base) => (text === '-' ? '-' : path(text, base));

export const duration: Reader<Duration> = (text) => {
  const span = parseDuration(text);
  if (span === undefined) throw new BadValue('write it like 500ms, 30s, 5m, 12h or 90d');
  return span;
};

/** To the cloud, none is the kind's default: whoever writes 0 does not mean that. */
export const someTime: Reader<Duration> = (text, where) => {
  const span = duration(text, where);
  if (span === 0) throw new BadValue('it must be longer than nothing');
  return span;
};

/** A whole number within bounds. */
export const wholeNumber =
  (min: number, max: number): Reader<number> =>
  (text) => {
    const number = /^\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (!(number >= min && number <= max)) throw new BadValue(`it must be a whole number from ${min} to ${max}`);
    return number;
  };

const SIZES = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;

/** Bytes: `64MiB`. */
export const size: Reader<number> = (text) => {
  const match = /^(\d{1,6})(B|KiB|MiB|GiB)$/.exec(text.trim());
  if (!match) throw new BadValue('write it like 512KiB, 64MiB or 1GiB');
  return Number(match[1]) * SIZES[match[2] as keyof typeof SIZES];
};

/** A command line and what it is called: `disk=df -h /`. */
export const namedCommand: Reader<readonly [name: string, command: string]> = (text) => {
  const [, name, command] = /^([A-Za-z0-9][A-Za-z0-9_-]{0,63})=(.*\S.*)$/.exec(text) ?? [];
  if (name === undefined || command === undefined) throw new BadValue('write it like disk=df -h /');
  return [name, command.trim()];
};

/** One of a few words. */
export const oneOf =
  <const W extends string>(...words: readonly W[]): Reader<W> =>
  (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw new BadValue(`it must be one of ${words.join(', ')}`);
    return found;
  };

/** host:port of somebody else, in its normal form. */
export const address: Reader<string> = (text) => {
  try {
    return formatAddress(parseAddress(text));
  } catch (thrown) {
    throw new BadValue(`${describe(thrown)}; write it as host:port`);
  }
};

export interface Listening {
  readonly host: string;
  readonly port: number;
}

/** host:port to listen on. Port 0 takes any free one. */
export const listening: Reader<Listening> = (text) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port > 65_535) throw new BadValue('write it like 0.0.0.0:11000 or [::]:443');
  return { host, port };
};

/** The same where a port alone is one that only this machine reaches. */
export const listeningHere: Reader<Listening> = (text, base) => {
  const port = /^\d{1,5}$/.test(text.trim()) ? Number(text) : undefined;
  if (port === undefined) return listening(text, base);
  if (port > 65_535) throw new BadValue('a port is at most 65535');
  return { host: '127.0.0.1', port };
};

const RELATIVE = /^([+-])(.+)$/;

/** A moment: ISO 8601, `now`, or relative to now: `-1h`. */
export function moment(text: string, now: EpochMs): EpochMs {
  if (text === 'now') return now;
  const relative = RELATIVE.exec(text);
  const span = relative ? parseDuration(relative[2] ?? '') : undefined;
  if (span !== undefined) return epochMs(relative?.[1] === '-' ? now - span : now + span);
  // Only whole ISO forms: what else Date.parse takes depends on the engine. A date alone is in UTC, a time
  // without a zone is local (ECMA-262, section 21.4.1.32).
  const time = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)?)?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(time)) throw new BadValue('write it like 2026-01-31T14:00:00Z, 2026-01-31, -1h or now');
  return epochMs(time);
}

/** Where a range begins. */
export interface Beginning {
  readonly at: EpochMs;
  /** It was said as a distance from now. */
  readonly isRelative: boolean;
}

export const beginning = (text: string, now: EpochMs): Beginning => ({
  at: moment(text, now),
  isRelative: text === 'now' || RELATIVE.test(text),
});

/** Where its spans begin. Of the last day by the hour: with whole hours, not with a part of one and then at odd minutes. */
export const spansFrom = ({ at, isRelative }: Beginning, span: Duration): EpochMs =>
  isRelative ? epochMs(Math.floor(at / span) * span) : at;

/** `key=value`: the value is JSON where it is JSON, otherwise text. */
export function setting(text: string): readonly [string, unknown] {
  const at = text.indexOf('=');
  if (at < 1) throw new BadValue('write it as key=value, for example port=443');
  const value = text.slice(at + 1);
  try {
    return [text.slice(0, at), JSON.parse(value)];
  } catch {
    return [text.slice(0, at), value];
  }
}

/** `metric=range`. A metric may contain `=`; a range never does. */
export function limit(text: string): readonly [metric: string, range: string] {
  const at = text.lastIndexOf('=');
  if (at < 1) throw new BadValue('write it as metric=range, for example usage=90 or days-left=7:');
  const range = text.slice(at + 1);
  try {
    if (range !== '') parseRange(range);
  } catch (thrown) {
    throw new BadValue(describe(thrown));
  }
  return [text.slice(0, at), range];
}

/** Thresholds with these warning and critical ranges put in; an empty range takes one away. */
export function withLimits(
  thresholds: readonly Threshold[],
  warnings: readonly (readonly [string, string])[],
  criticals: readonly (readonly [string, string])[],
): Threshold[] {
  const byMetric = new Map(thresholds.map((threshold) => [threshold.metric, { ...threshold }]));
  const of = (metric: string): Threshold => {
    const threshold = byMetric.get(metric) ?? { metric, warning: '', critical: '' };
    byMetric.set(metric, threshold);
    return threshold;
  };
  for (const [metric, range] of warnings) of(metric).warning = range;
  for (const [metric, range] of criticals) of(metric).critical = range;
  return [...byMetric.values()].filter(({ warning, critical }) => warning !== '' || critical !== '');
}
