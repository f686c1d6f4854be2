// A range summed up in buckets of time, as a table (`occ readings range --every`) and row by row.
import type { AggregateReadingsRequest, MissingSpan, Sparse, State } from '../../client/index.js';
import type { Names } from '../names.js';
import type { Answer, Session } from '../operator.js';
import { missingNote, noteOf } from '../output/missing.js';
import { plainMissing } from '../output/plain.js';
import { quantity } from '../output/reading.js';
import { table } from '../output/table.js';
import { iso } from '../output/times.js';
import { stateTone, stateWord } from '../output/words.js';

export type BucketsRequest = Sparse<AggregateReadingsRequest> &
  Pick<AggregateReadingsRequest, 'fromMs' | 'untilMs' | 'bucketMs'>;

/** What `--every` says of itself. */
export const SPANS =
  'summed up in spans of this length, at most 10,000 of them; after a relative --from they begin by the clock: whole ' +
  'hours with 1h, days of UTC with 1d';

/** One metric in one bucket. */
export interface BucketRow {
  readonly machineId: string;
  readonly sensor: number;
  readonly at: number;
  /** The worst of its sensor in this bucket. */
  readonly state: State;
  readonly name: string;
  readonly unit: string;
  readonly count: number;
  readonly minimum: number;
  readonly average: number;
  readonly maximum: number;
  readonly last: number;
}

export async function bucketsAnswer(request: BucketsRequest, names: Names, session: Session): Promise<Answer> {
  const rows: BucketRow[] = [];
  const spans: MissingSpan[] = [];
  for await (const row of bucketRows(request, session, (missing) => spans.push(...missing))) rows.push(row);
  const notes = [rows.length === 0 ? 'There is no value in this range.' : '', missingNote(spans)];
  return {
    json: [...rows.map((row) => plainBucket(row, names)), ...spans.map((span) => plainMissing(span, names))],
    text: (paint) =>
      rows.length === 0
        ? ''
        : table(
            ['SENSOR', 'METRIC', 'FROM', 'COUNT', 'MINIMUM', 'AVERAGE', 'MAXIMUM', 'LAST', 'WORST'],
            rows.map((row) => cellsOf(row, names)),
            paint,
          ),
    ...noteOf(notes),
  };
}

/** Sensor by sensor, metric by metric, in the order of time. */
export async function* bucketRows(
  request: BucketsRequest,
  { client }: Session,
  onMissing: (spans: readonly MissingSpan[]) => unknown,
): AsyncGenerator<BucketRow> {
  let worst = new Map<number, State>();
  for await (const { machineId, sensor, content } of client.readings.aggregateReadings(request)) {
    if (content?.$case === 'missing') await onMissing(content.value.spans);
    else if (content?.$case === 'states') {
      const { buckets, worst: states } = content.value;
      worst = new Map(buckets.map((bucket, i) => [bucket, states[i] ?? 0]));
    } else if (content?.$case === 'metric') {
      const { name, unit, buckets, counts, minimums, maximums, sums, lasts } = content.value;
      for (const [i, bucket] of buckets.entries()) {
        const count = counts[i] ?? 0;
        const at = request.fromMs + bucket * request.bucketMs;
        yield {
          ...{ machineId, sensor, at, state: worst.get(bucket) ?? 0, name, unit, count },
          ...{ minimum: minimums[i] ?? 0, average: (sums[i] ?? 0) / count, maximum: maximums[i] ?? 0 },
          last: lasts[i] ?? 0,
        };
      }
    }
  }
}

export const plainBucket = ({ machineId, sensor, at, state, ...metric }: BucketRow, names: Names) => ({
  machineId,
  machine: names.machine(machineId),
  sensorId: `${machineId}/${sensor}`,
  sensor: names.sensor(machineId, sensor),
  from: iso(at),
  state: stateWord(state),
  ...metric,
});

const cellsOf = ({ machineId, sensor, at, state, name, unit, count, ...values }: BucketRow, names: Names) => [
  { text: names.sensor(machineId, sensor), tone: 'strong' as const },
  name,
  iso(at) ?? '',
  String(count),
  ...[values.minimum, values.average, values.maximum, values.last].map((value) => quantity(value, unit)),
  { text: stateWord(state), tone: stateTone(state) },
];
