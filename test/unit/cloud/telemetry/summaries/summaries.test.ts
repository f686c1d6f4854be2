// Summaries: what they say is what their readings were, however these came in parts, and as often as they are stored.
import { expect } from 'chai';
import fc from 'fast-check';
import { SummaryBlock } from '../../../../../gen/occmesh/store/v1/store.js';
import { State } from '../../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { Aggregation, type Buckets, type SensorSums } from '../../../../../src/cloud/telemetry/aggregate.js';
import {
  DAY,
  dayOf,
  newDay,
  openSummaries,
  packSummaries,
  WINDOW,
  windowsOf,
} from '../../../../../src/cloud/telemetry/summaries/block.js';
import { byDay } from '../../../../../src/cloud/telemetry/summaries/days.js';
import type { SeriesArrays } from '../../../../../src/telemetry/columns-decode.js';
import { runs } from '../../../telemetry/arbitraries.js';

const TODAY = 20_000;
const START = TODAY * DAY;
const METRICS = [
  { name: 'a', unit: '' },
  { name: 'a', unit: 's' },
  { name: 'b', unit: '%' },
];

/** Eighths, so that no sum depends on its order. */
const anySeries = (from = START, length = DAY): fc.Arbitrary<SeriesArrays> =>
  fc
    .tuple(
      fc.subarray(METRICS),
      fc.array(
        fc.tuple(
          fc.nat(length - 1),
          fc.integer({ min: State.OK, max: State.UNKNOWN }),
          fc.array(fc.integer(), { minLength: 3, maxLength: 3 }),
        ),
        { minLength: 1, maxLength: 30 },
      ),
    )
    .map(([metrics, readings]) => ({
      ...{ sensor: 7, metrics },
      takenAt: Float64Array.from(readings, ([at]) => from + at),
      state: Uint8Array.from(readings, ([, state]) => state),
      values: metrics.map((_, i) => Float64Array.from(readings, ([, , values]) => (values[i] as number) / 8)),
    }));

function summed(series: readonly SeriesArrays[]): SensorSums {
  const day = newDay(TODAY);
  for (const one of series) day.add(one);
  return day.sensors[0] as SensorSums;
}

const stored = (sums: SensorSums): SensorSums => openSummaries(packSummaries(sums, TODAY), 7, TODAY);

/** Only what means something. */
const told = ({ states, metrics }: SensorSums) => ({
  states: [...states.counts].flatMap((count, i) => (count === 0 ? [] : [[i, count, states.worst[i]]])),
  metrics: metrics.map(({ name, unit, counts, ...numbers }) => ({
    name,
    unit,
    windows: [...counts].flatMap((count, i) =>
      count === 0
        ? []
        : [[i, count, numbers.minimums[i], numbers.maximums[i], numbers.sums[i], numbers.lasts[i], numbers.lastAt[i]]],
    ),
  })),
});

describe('summaries', () => {
  it('are the same after they were stored, to the last bit', () => {
    const odd = fc.constantFrom(-0, 0.1, 1e300, -1e-300, 2 ** 53, 1 / 3, Number.MAX_VALUE);
    fc.assert(
      fc.property(fc.array(anySeries(), { minLength: 1, maxLength: 4 }), fc.array(odd), (series, wild) => {
        for (const { values } of series) for (const [i, value] of wild.entries()) values[0]?.fill(value, i, i + 1);
        const sums = summed(series);
        const again = told(stored(sums));
        expect(again).to.deep.equal(told(sums));
        for (const [m, { windows }] of told(sums).metrics.entries())
          for (const [w, window] of windows.entries())
            for (const [n, number] of window.entries())
              expect(Object.is(again.metrics[m]?.windows[w]?.[n], number)).to.equal(true);
      }),
      runs(200),
    );
  });

  it('of parts, merged one into the other, are the summary of all of it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(anySeries(), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }),
        (parts) => {
          let merged: SensorSums | undefined;
          for (const part of parts) {
            const day = newDay(TODAY);
            if (merged) day.merge(merged, windowsOf(TODAY));
            for (const series of part) day.add(series);
            merged = stored(day.sensors[0] as SensorSums);
          }
          expect(told(merged as SensorSums)).to.deep.equal(told(summed(parts.flat())));
        },
      ),
      runs(200),
    );
  });

  it('that are merged twice do not go unnoticed here', () => {
    const series = fc.sample(anySeries(), { numRuns: 1, seed: 1 });
    const day = newDay(TODAY);
    for (const one of series) day.add(one);
    day.merge(summed(series), windowsOf(TODAY));
    expect(told(day.sensors[0] as SensorSums)).not.to.deep.equal(told(summed(series)));
  });

  it('give the same buckets as the readings, where buckets are made of whole windows', () => {
    const anyBuckets = fc
      .tuple(fc.integer({ min: -300, max: 300 }), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20 }))
      .map(([from, length, width]): Buckets => {
        const start = START + from * WINDOW;
        return { from: start, until: start + length * WINDOW, width: width * WINDOW };
      });
    fc.assert(
      fc.property(fc.array(anySeries(), { minLength: 1, maxLength: 3 }), anyBuckets, (series, buckets) => {
        const [raw, summaries] = [new Aggregation(buckets), new Aggregation(buckets)];
        for (const one of series) raw.add(one);
        summaries.merge(summed(series), windowsOf(TODAY));
        const metrics = ({ sensors }: Aggregation) =>
          sensors.map((sums) => {
            const { states, metrics } = told(sums);
            return { states, metrics: metrics.filter(({ windows }) => windows.length > 0) };
          });
        expect(metrics(summaries)).to.deep.equal(metrics(raw));
      }),
      runs(200),
    );
  });

  it('count a window where it begins, when buckets are not made of whole ones', () => {
    const [late] = [
      { ...(fc.sample(anySeries(), 1)[0] as SeriesArrays), takenAt: Float64Array.of(START + WINDOW - 1) },
    ];
    const one = { ...late, state: Uint8Array.of(State.OK), values: late.values.map((column) => column.subarray(0, 1)) };
    const minutes = new Aggregation({ from: START, until: START + DAY, width: 60_000 });
    minutes.merge(summed([one]), windowsOf(TODAY));
    expect(told(minutes.sensors[0] as SensorSums).states).to.deep.equal([[0, 1, State.OK]]);
  });

  it('are cut at midnight, whatever order the readings are in', () => {
    fc.assert(
      fc.property(anySeries(START - 2 * DAY, 5 * DAY), (series) => {
        const days = byDay([series]);
        expect(days.map(([day]) => day)).to.deep.equal([...new Set([...series.takenAt].map(dayOf))].sort());
        for (const [day, parts] of days) {
          const expected = [...series.takenAt].map((at, i) => [at, series.state[i], ...series.values.map((v) => v[i])]);
          const found = parts.flatMap((part) =>
            [...part.takenAt].map((at, i) => [at, part.state[i], ...part.values.map((v) => v[i])]),
          );
          expect(found).to.deep.equal(expected.filter(([at]) => dayOf(at as number) === day));
        }
      }),
      runs(100),
    );
  });

  it('keep 512 metrics of a sensor and a day, and all of its states', () => {
    const day = newDay(TODAY);
    for (let i = 0; i < 600; i++) {
      day.add({
        ...{ sensor: 7, metrics: [{ name: `m${i}`, unit: '' }], takenAt: Float64Array.of(START) },
        ...{ state: Uint8Array.of(State.OK), values: [Float64Array.of(i)] },
      });
    }
    const sums = stored(day.sensors[0] as SensorSums);
    expect(sums.metrics).to.have.length(512);
    expect(sums.states.counts[0]).to.equal(600);
  });

  /** Of a whole day, once a minute. */
  const steady = () => {
    const minute = Array.from({ length: 1_440 }, (_, i) => i);
    return summed([
      {
        ...{ sensor: 7, metrics: [{ name: 'temperature', unit: 'Cel' }] },
        takenAt: Float64Array.from(minute, (i) => START + i * 60_000),
        state: new Uint8Array(1_440).fill(State.OK),
        values: [Float64Array.from(minute, (i) => 20 + Math.round(8 * Math.sin(i / 200)) / 4)],
      },
    ]);
  };

  it('of a steady sensor take a few bytes for a window', () => {
    expect(packSummaries(steady(), TODAY).length / 288).to.be.at.most(7);
  });

  it('that are not what was stored are refused', () => {
    const block = SummaryBlock.decode(packSummaries(steady(), TODAY));
    for (const change of [{ windowCount: 289 }, { windowCount: block.windowCount + 100 }, { counts: Buffer.of(1) }]) {
      const value = SummaryBlock.encode({ ...block, ...change }).finish();
      expect(() => openSummaries(value, 7, TODAY))
        .to.throw()
        .with.property('code', 'telemetry.malformed');
    }
  });
});
