// Measuring, without knowing where it goes: a role says in one table what it measures, and is handed one instrument for
// each line. Without anybody to tell (`noMeters`) they cost nothing; the one that tells Prometheus is in src/metrics.
import type { Clock } from './clock.js';

/** Which values a label may have; `undefined`: whoever uses it bounds them. Everything else is told as "other". */
type Labels = { readonly [label: string]: readonly string[] | undefined };

interface Line<L extends Labels> {
  readonly name: string;
  readonly help: string;
  readonly labels: L;
}

/** Only ever grows. */
export interface CounterLine<L extends Labels = Labels> extends Line<L> {
  readonly kind: 'counter';
}

/** Asked for at each look, and free in between. */
export interface GaugeLine<L extends Labels = Labels> extends Line<L> {
  readonly kind: 'gauge';
}

/** How long something took, in seconds. */
export interface HistogramLine<L extends Labels = Labels> extends Line<L> {
  readonly kind: 'histogram';
  /** Upper bounds, rising. */
  readonly buckets: readonly number[];
}

export type MetricLine<L extends Labels = Labels> = CounterLine<L> | GaugeLine<L> | HistogramLine<L>;
export type MetricTable = { readonly [key: string]: MetricLine };

type Named<L extends Labels> = {
  readonly [K in keyof L]: L[K] extends readonly (infer V extends string)[] ? V : string;
};
/** Labels are said where there are any. */
type Said<L extends Labels> = keyof L extends never ? [] : [labels: Named<L>];
/** One number, or one for each combination of labels that there is. */
type Found<L extends Labels> = keyof L extends never ? number : Iterable<readonly [Named<L>, number]>;

/** What there is now. One that fails is left out of that look. */
export type Source<L extends Labels = Labels> = () => Found<L> | Promise<Found<L>>;

export interface Counter<L extends Labels = Labels> {
  add(amount: number, ...labels: Said<L>): void;
  /** Instead of add(): somebody counts already. */
  read(source: Source<L>): void;
}

export interface Gauge<L extends Labels = Labels> {
  read(source: Source<L>): void;
}

export interface Histogram<L extends Labels = Labels> {
  observe(seconds: number, ...labels: Said<L>): void;
}

type InstrumentOf<M extends MetricLine> =
  M extends CounterLine<infer L> ? Counter<L> : M extends GaugeLine<infer L> ? Gauge<L> : MadeHistogram<M>;
type MadeHistogram<M extends MetricLine> = M extends HistogramLine<infer L> ? Histogram<L> : never;

/** One instrument for each line of a table. */
export type Instruments<T extends MetricTable> = { readonly [K in keyof T]: InstrumentOf<T[K]> };

export interface Meters {
  instruments<T extends MetricTable>(table: T): Instruments<T>;
}

/** Nobody looks. */
export const noMeters: Meters = {
  instruments<T extends MetricTable>(table: T): Instruments<T> {
    const nothing = () => undefined;
    const silent = { add: nothing, read: nothing, observe: nothing };
    return Object.fromEntries(Object.keys(table).map((key) => [key, silent])) as unknown as Instruments<T>;
  },
};

// biome-ignore lint/complexity/noBannedTypes: no labels at all
type None = {};
const NONE: None = {};

export function counter(name: string, help: string): CounterLine<None>;
export function counter<const L extends Labels>(name: string, help: string, labels: L): CounterLine<L>;
export function counter(name: string, help: string, labels: Labels = NONE): CounterLine {
  return { kind: 'counter', name, help, labels };
}

export function gauge(name: string, help: string): GaugeLine<None>;
export function gauge<const L extends Labels>(name: string, help: string, labels: L): GaugeLine<L>;
export function gauge(name: string, help: string, labels: Labels = NONE): GaugeLine {
  return { kind: 'gauge', name, help, labels };
}

export function histogram(name: string, help: string, buckets: readonly number[]): HistogramLine<None>;
export function histogram<const L extends Labels>(
  name: string,
  help: string,
  buckets: readonly number[],
  labels: L,
): HistogramLine<L>;
export function histogram(
  name: string,
  help: string,
  buckets: readonly number[],
  labels: Labels = NONE,
): HistogramLine {
  return { kind: 'histogram', name, help, labels, buckets };
}

/** Bounds in seconds for what is done on this machine: a write, a call. */
export const QUICK: readonly number[] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** Bounds in seconds for what may take as long as it is let. */
export const SLOW: readonly number[] = [0.01, 0.1, 0.5, 1, 5, 10, 30, 60];

/** Runs something and says how long it took, whatever came of it. */
export async function timed<T>(clock: Clock, instrument: Histogram<None>, run: () => Promise<T>): Promise<T> {
  const began = clock.monotonic();
  try {
    return await run();
  } finally {
    instrument.observe((clock.monotonic() - began) / 1_000);
  }
}
