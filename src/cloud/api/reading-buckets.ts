// Buckets of readings as they are asked for and told.
import type {
  AggregateReadingsRequest,
  AggregateReadingsResponse,
  MetricBuckets,
  StateBuckets,
} from '../../../gen/occmesh/readings/v1/readings.js';
import { invalid } from '../../contract/status.js';
import { type Buckets, bucketCount, type MetricSums, type SensorSums, type StateSums } from '../telemetry/aggregate.js';

const MAX_BUCKETS = 10_000;

/** Faults: api.invalid. */
export function requireBuckets({ fromMs, untilMs, bucketMs }: AggregateReadingsRequest): Buckets {
  if (untilMs <= fromMs) throw invalid('until_ms', 'must be after from_ms');
  if (bucketMs < 1) throw invalid('bucket_ms', 'must be at least 1');
  const buckets = { from: fromMs, until: untilMs, width: bucketMs };
  const count = bucketCount(buckets);
  if (count > MAX_BUCKETS) throw invalid('bucket_ms', `makes ${count} buckets; ${MAX_BUCKETS} at most`);
  return buckets;
}

export function bucketsToProto(
  machineId: string,
  { sensor, states, metrics }: SensorSums,
): AggregateReadingsResponse[] {
  return [
    { machineId, sensor, content: { $case: 'states', value: statesToProto(states) } },
    ...metrics.map((metric): AggregateReadingsResponse => {
      return { machineId, sensor, content: { $case: 'metric', value: metricToProto(metric) } };
    }),
  ];
}

function statesToProto({ counts, worst }: StateSums): StateBuckets {
  const buckets = filled(counts);
  return { buckets, counts: at(counts, buckets), worst: at(worst, buckets) };
}

function metricToProto({ name, unit, counts, minimums, maximums, sums, lasts }: MetricSums): MetricBuckets {
  const buckets = filled(counts);
  return {
    ...{ name, unit, buckets, counts: at(counts, buckets) },
    ...{ minimums: at(minimums, buckets), maximums: at(maximums, buckets) },
    ...{ sums: at(sums, buckets), lasts: at(lasts, buckets) },
  };
}

/** Numbers of the buckets in which there is something. */
function filled(counts: Uint32Array): number[] {
  const buckets: number[] = [];
  for (let i = 0; i < counts.length; i++) if (counts[i] !== 0) buckets.push(i);
  return buckets;
}

const at = (numbers: Float64Array | Uint32Array | Uint8Array, indexes: readonly number[]): number[] =>
  indexes.map((index) => numbers[index] as number);
