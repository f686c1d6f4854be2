// Buckets: the same as adding the readings up one by one, whatever batches they came in.
import { expect } from 'chai';
import fc from 'fast-check';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { Aggregation, type Buckets, bucketCount, MAX_POINTS } from '../../../../src/cloud/telemetry/aggregate.js';
import { ApiFault } from '../../../../src/contract/fault.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { packBatch, unpackBatch } from '../../../../src/telemetry/batch.js';
import type { Flush, Reading } from '../../../../src/telemetry/reading.js';
import { anyFlushes, runs } from '../../telemetry/arbitraries.js';

const ID = Buffer.alloc(16, 1);
const START = Date.UTC(2026, 0, 1);

/** What an aggregation of these batches tells of one sensor, or of all. */
function aggregated(batches: readonly Flush[][], buckets: Buckets, sensor = 0) {
  const aggregation = new Aggregation(buckets);
  for (const flushes of batches) {
    const batch = packBatch({ log: ID, firstFlush: flushes[0]?.number ?? 0, chain: ID }, flushes);
    for (const series of unpackBatch(batch).table().series({ sensor })) aggregation.add(series);
  }
  return aggregation.sensors.map((sums) => ({
    sensor: sums.sensor,
    states: told(sums.states.counts, (i) => ({ count: sums.states.counts[i], worst: sums.states.worst[i] })),
    metrics: sums.metrics.map(({ name, unit, counts, minimums, maximums, sums: totals, lasts }) => ({
      name,
      unit,
      buckets: told(counts, (i) => {
        return { count: counts[i], minimum: minimums[i], maximum: maximums[i], sum: totals[i], last: lasts[i] };
      }),
    })),
  }));
}

const told = <T>(counts: Uint32Array, of: (bucket: number) => T): [bucket: number, T][] =>
  [...counts].flatMap((count, i) => (count === 0 ? [] : [[i, of(i)] as [number, T]]));

const WORSE = [State.OK, State.UNKNOWN, State.WARNING, State.CRITICAL];

/** The first one that none is before. */
const first = (values: readonly number[], isBefore: (a: number, b: number) => boolean): number =>
  values.find((value) => !values.some((other) => isBefore(other, value))) ?? Number.NaN;

/** The same of objects, one question after another. */
function added(flushes: readonly Flush[], { from, until, width }: Buckets, only = 0) {
  const inside = flushes
    .flatMap(({ readings }) => readings)
    .filter(({ takenAt, sensor }) => takenAt >= from && takenAt < until && (only === 0 || sensor === only));
  const byBucket = (readings: readonly Reading[]): [number, Reading[]][] => {
    const found = new Map<number, Reading[]>();
    for (const reading of readings) {
      const bucket = Math.floor((reading.takenAt - from) / width);
      found.set(bucket, [...(found.get(bucket) ?? []), reading]);
    }
    return [...found].sort(([a], [b]) => a - b);
  };
  const ascending = [...new Set(inside.map(({ sensor }) => sensor))].sort((a, b) => a - b);
  return ascending.map((sensor) => {
    const own = inside.filter((reading) => reading.sensor === sensor);
    const metrics = new Map(
      own.flatMap(({ values }) => values).map(({ name, unit }) => [`${name}\n${unit}`, { name, unit }]),
    );
    const sorted = [...metrics.values()].sort((a, b) =>
      a.name < b.name || (a.name === b.name && a.unit < b.unit) ? -1 : 1,
    );
    return {
      sensor,
      states: byBucket(own).map(([bucket, readings]) => {
        const ranks = readings.map(({ state }) => WORSE.indexOf(state));
        return [bucket, { count: readings.length, worst: WORSE[Math.max(...ranks)] }];
      }),
      metrics: sorted.map(({ name, unit }) => {
        const numberOf = ({ values }: Reading) =>
          values.find((value) => value.name === name && value.unit === unit)?.value;
        const having = own.filter((reading) => numberOf(reading) !== undefined);
        const buckets = byBucket(having).map(([bucket, readings]) => {
          const values = readings.map((reading) => numberOf(reading) ?? Number.NaN);
          const latest = readings.reduce((a, b) => (b.takenAt >= a.takenAt ? b : a));
          return [
            bucket,
            {
              count: values.length,
              minimum: first(values, (a, b) => a < b),
              maximum: first(values, (a, b) => a > b),
              sum: values.reduce((a, b) => a + b, 0),
              last: numberOf(latest),
            },
          ];
        });
        return { name, unit, buckets };
      }),
    };
  });
}

const reading = (sensor: number, at: number, value: number, change: Partial<Reading> = {}): Reading => ({
  sensor,
  takenAt: epochMs(START + at),
  state: State.OK,
  message: '',
  values: [{ name: 'used', unit: '%', value }],
  ...change,
});

describe('cloud: buckets', () => {
  const anyBuckets = fc
    .record({
      offset: fc.integer({ min: -2_000, max: 4_000 }),
      length: fc.integer({ min: 1, max: 8_000 }),
      width: fc.integer({ min: 1, max: 3_000 }),
    })
    .map(({ offset, length, width }) => ({ from: START + offset, until: START + offset + length, width }))
    .filter((buckets) => bucketCount(buckets) <= 2_000);

  it('say what the readings say, one by one', () => {
    fc.assert(
      fc.property(
        anyFlushes,
        anyBuckets,
        fc.boolean(),
        fc.integer({ min: 0, max: 4 }),
        (flushes, buckets, cut, sensor) => {
          const full = flushes.filter(({ readings }) => readings.length > 0);
          const batches = cut ? full.map((flush) => [flush]) : [flushes];
          expect(aggregated(batches, buckets, sensor)).to.deep.equal(added(flushes, buckets, sensor));
        },
      ),
      runs(300),
    );
  });

  it('begin where they are said to begin, and end with the range', () => {
    const readings = [-1, 0, 9, 10, 24, 25].map((at) => reading(1, at, at));
    const [sums] = aggregated([[{ number: 0, readings }]], { from: START, until: START + 25, width: 10 });
    expect(sums?.metrics[0]?.buckets).to.deep.equal([
      [0, { count: 2, minimum: 0, maximum: 9, sum: 9, last: 9 }],
      [1, { count: 1, minimum: 10, maximum: 10, sum: 10, last: 10 }],
      [2, { count: 1, minimum: 24, maximum: 24, sum: 24, last: 24 }],
    ]);
  });

  it('end with the latest value by its timestamp, also where batches come in another order', () => {
    const late = [{ number: 1, readings: [reading(1, 8, 8)] }];
    const early = [{ number: 0, readings: [reading(1, 3, 3)] }];
    for (const batches of [
      [early, late],
      [late, early],
    ]) {
      const [sums] = aggregated(batches, { from: START, until: START + 10, width: 10 });
      expect(sums?.metrics[0]?.buckets[0]?.[1].last).to.equal(8);
    }
  });

  it('tell the state also of readings without a value', () => {
    const failed = reading(1, 5, 0, { state: State.UNKNOWN, values: [] });
    const [sums] = aggregated([[{ number: 0, readings: [failed] }]], { from: START, until: START + 10, width: 10 });
    expect(sums).to.deep.equal({ sensor: 1, states: [[0, { count: 1, worst: State.UNKNOWN }]], metrics: [] });
  });

  it('take two units for two metrics, and a name for no part of a unit', () => {
    const values = (name: string, unit: string) => ({ values: [{ name, unit, value: 1 }] });
    const readings = [
      ['a', 'b'],
      ['a', 'c'],
      ['ab', ''],
      ['a', 'bc'],
    ].map(([name = '', unit = ''], i) => reading(1, i, 0, values(name, unit)));
    const [sums] = aggregated([[{ number: 0, readings }]], { from: START, until: START + 10, width: 10 });
    expect(sums?.metrics.map(({ name, unit }) => [name, unit])).to.deep.equal([
      ['a', 'b'],
      ['a', 'bc'],
      ['a', 'c'],
      ['ab', ''],
    ]);
  });

  it('take bounded memory, however many metrics there are', () => {
    const metrics = Array.from({ length: 256 }, (_, i) => ({ name: `m${i}`, unit: '', value: i }));
    const readings = Array.from({ length: 10 }, (_, i) => reading(1 + i, 5, 0, { values: metrics }));
    const flushes = [{ number: 0, readings }];
    const width = (count: number) => ({ from: START, until: START + 10_000, width: 10_000 / count });
    expect(() => aggregated([flushes], width(1_000)))
      .to.throw(ApiFault)
      .that.includes({ code: 'api.exhausted', permanent: true });
    expect(aggregated([flushes], width(50))).to.have.length(10);
    expect(257 * 10 * 1_000).to.be.greaterThan(MAX_POINTS);
    // Those without a reading in the range cost nothing.
    expect(aggregated([flushes], { from: START - 10_000, until: START, width: 1 })).to.deep.equal([]);
  });
});
