// Judges sums: what a hub itself recorded as durable, summed up here, against what the cloud says of the same time. Knows
// nothing of what the cloud holds as readings, and what as sums.
import { type MeshClient, State } from '../../src/client/index.js';
import { linesOf } from '../../src/demo/verdict.js';

/** From here to there, in buckets of this width; milliseconds. */
export interface Span {
  readonly from: number;
  readonly until: number;
  readonly width: number;
}

/** Of a sensor, or one of its metrics, in a bucket: how many there are, and what they come to. */
export interface Sums {
  readonly count: number;
  readonly what: string;
}

export type SumsByName = ReadonlyMap<string, Sums>;

/** From the best. */
const BY_SEVERITY = [State.OK, State.UNKNOWN, State.WARNING, State.CRITICAL];

interface Values {
  count: number;
  minimum: number;
  maximum: number;
  sum: number;
  last: number;
  lastAt: number;
}

export async function recordedSums(journals: readonly string[], span: Span): Promise<SumsByName> {
  const states = new Map<string, { count: number; worst: number }>();
  const metrics = new Map<string, Values>();
  for (const journal of journals) {
    for await (const { sensor, takenAt, state, values } of linesOf(journal)) {
      if (takenAt < span.from || takenAt >= span.until) continue;
      const bucket = Math.floor((takenAt - span.from) / span.width);
      const { count, worst } = states.get(stateName(sensor, bucket)) ?? { count: 0, worst: 0 };
      states.set(stateName(sensor, bucket), {
        count: count + 1,
        worst: Math.max(worst, BY_SEVERITY.indexOf(state)),
      });
      for (const { name, unit, value } of values) {
        const key = metricName(sensor, bucket, name, unit);
        metrics.set(key, withValue(metrics.get(key), value, takenAt));
      }
    }
  }
  return new Map([
    ...[...states].map(([key, { count, worst }]) => [key, { count, what: `${BY_SEVERITY[worst]}` }] as const),
    ...[...metrics].map(([key, values]) => [key, { count: values.count, what: wordsOf(values) }] as const),
  ]);
}

export async function toldSums(client: MeshClient, machineId: string, span: Span): Promise<SumsByName> {
  const told = new Map<string, Sums>();
  const { from: fromMs, until: untilMs, width: bucketMs } = span;
  for await (const { sensor, content } of client.readings.aggregateReadings({ machineId, fromMs, untilMs, bucketMs })) {
    if (content?.$case === 'states') {
      const { buckets, counts, worst } = content.value;
      for (const [i, bucket] of buckets.entries()) {
        told.set(stateName(sensor, bucket), { count: counts[i] ?? 0, what: `${worst[i]}` });
      }
    } else if (content?.$case === 'metric') {
      const { name, unit, buckets, counts, minimums, maximums, sums, lasts } = content.value;
      for (const [i, bucket] of buckets.entries()) {
        const [minimum, maximum, sum, last] = [minimums, maximums, sums, lasts].map((of) => of[i] ?? Number.NaN);
        const values = { minimum, maximum, sum, last } as Values;
        told.set(metricName(sensor, bucket, name, unit), { count: counts[i] ?? 0, what: wordsOf(values) });
      }
    }
  }
  return told;
}

/** What is not the same in both, for people. */
export function differences(recorded: SumsByName, told: SumsByName): string[] {
  const names = new Set([...recorded.keys(), ...told.keys()]);
  return [...names].flatMap((name) => {
    const [one, other] = [recorded.get(name), told.get(name)].map((sums) => sums && `${sums.count}: ${sums.what}`);
    return one === other ? [] : [`${name}: recorded ${one}, told ${other}`];
  });
}

/** How many readings these are. */
export function readingsIn(sums: SumsByName): number {
  return [...sums].reduce((total, [name, { count }]) => total + (name.startsWith('state') ? count : 0), 0);
}

const stateName = (sensor: number, bucket: number): string => `state ${sensor} in ${bucket}`;
const metricName = (sensor: number, bucket: number, name: string, unit: string): string =>
  `metric ${sensor} in ${bucket}, ${name} [${unit}]`;

function withValue(before: Values | undefined, value: number, takenAt: number): Values {
  if (!before) return { count: 1, minimum: value, maximum: value, sum: value, last: value, lastAt: takenAt };
  const { count, minimum, maximum, sum, last, lastAt } = before;
  return {
    count: count + 1,
    minimum: Math.min(minimum, value),
    maximum: Math.max(maximum, value),
    sum: sum + value,
    last: takenAt >= lastAt ? value : last,
    lastAt: Math.max(takenAt, lastAt),
  };
}

/** A sum depends on the order of what is added in its last digits. */
const wordsOf = ({ minimum, maximum, sum, last }: Values): string =>
  `${minimum} to ${maximum}, together ${sum.toPrecision(10)}, last ${last}`;
