import { expect } from 'chai';
import fc from 'fast-check';
import { Columns } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { epochMs } from '../../../src/kernel/duration.js';
import { valuesOf } from '../../../src/telemetry/batch.js';
import { decodeColumns, ReadingTable } from '../../../src/telemetry/columns-decode.js';
import { encodeColumns } from '../../../src/telemetry/columns-encode.js';
import { unpack } from '../../../src/telemetry/packed.js';
import { canonicalOrder, type Flush, MAX_ABSOLUTE_MS, type Reading } from '../../../src/telemetry/reading.js';
import { lengthOfRuns } from '../../../src/telemetry/runs.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { anyFlushes, randomWalk, runs } from './arbitraries.js';

const boundsOf = (flushes: readonly Flush[]) => ({
  firstFlush: flushes[0]?.number ?? 0,
  flushCount: flushes.length,
  readingCount: flushes.reduce((sum, { readings }) => sum + readings.length, 0),
  valueCount: flushes.reduce((sum, { readings }) => sum + valuesOf(readings), 0),
});
const canonical = (flushes: readonly Flush[]) =>
  flushes.map(({ number, readings }) => ({ number, readings: [...canonicalOrder(readings)] }));

/** As it travels: encoded, serialised, parsed, decoded. */
function thereAndBack(flushes: readonly Flush[]): Flush[] {
  const bytes = Columns.encode(encodeColumns(flushes, flushes[0]?.number ?? 0)).finish();
  return decodeColumns(Columns.decode(bytes), boundsOf(flushes));
}

/** One sensor that says these values, one second apart. */
function saying(...values: readonly number[]): Flush[] {
  const readings = values.map((value, i) => ({
    sensor: 1,
    takenAt: epochMs(1_000 * i),
    state: 1,
    message: '',
    values: [{ name: 'v', unit: '', value }],
  }));
  return [{ number: 0, readings }];
}

const columnsOf = (flushes: readonly Flush[]) => encodeColumns(flushes, flushes[0]?.number ?? 0);

describe('columns', () => {
  it('give back any readings exactly, in canonical order', () => {
    fc.assert(
      fc.property(anyFlushes, (flushes) => {
        // chai's deep equality tells -0 from 0.
        expect(thereAndBack(flushes)).to.deep.equal(canonical(flushes));
      }),
      runs(500),
    );
  });

  it('give back very many readings', () => {
    const flushes = randomWalk(seededRandom(testSeed), { sensors: 64, readings: 4_096, flushes: 100, step: 1 });
    expect(thereAndBack(flushes)).to.deep.equal(canonical(flushes));
  });

  it('give back flushes without a reading', () => {
    const flushes = [0, 1, 2].map((number) => ({ number, readings: [] }));
    expect(columnsOf(flushes)).to.deep.equal(Columns.create());
    expect(thereAndBack(flushes)).to.deep.equal(flushes);
  });

  it('know the last reading of each sensor and the span of time', () => {
    fc.assert(
      fc.property(anyFlushes, (flushes) => {
        const table = new ReadingTable(columnsOf(flushes), boundsOf(flushes));
        const all = canonical(flushes).flatMap(({ readings }) => readings);
        const last = new Map(all.map((reading) => [reading.sensor, reading]));
        const latest = table.latest();
        expect(latest.map(({ reading }) => reading)).to.deep.equal(
          [...last.values()].sort((a, b) => a.sensor - b.sensor),
        );
        for (const { reading, flush, position } of latest) {
          const inFlush = canonical(flushes).find(({ number }) => number === flush)?.readings;
          expect(inFlush?.[position]).to.deep.equal(reading);
        }
        const times = all.map(({ takenAt }) => takenAt);
        expect(table.timeSpan()).to.deep.equal({ earliest: Math.min(...times), latest: Math.max(...times) });
        expect(table.readingCount).to.equal(all.length);
      }),
      runs(100),
    );
    expect(
      new ReadingTable(Columns.create(), { firstFlush: 0, flushCount: 1, readingCount: 0, valueCount: 0 }).timeSpan(),
    ).to.equal(undefined);
  });
});

describe('columns as arrays', () => {
  it('say the same as the readings from any flush on, whether flushes are read at once or when they are asked for', () => {
    fc.assert(
      fc.property(anyFlushes, fc.nat(6), fc.boolean(), (flushes, later, checked) => {
        const fromFlush = (flushes[0]?.number ?? 0) + later;
        const table = new ReadingTable(columnsOf(flushes), boundsOf(flushes), { checked });
        const arrays = table.series({ fromFlush }).flatMap(({ sensor, metrics, takenAt, state, values }) =>
          [...takenAt].map((time, i) => {
            const named = metrics.map(({ name, unit }, metric) => ({ name, unit, value: values[metric]?.[i] }));
            return [sensor, time, state[i], named];
          }),
        );
        const objects = [...table.placed({ fromFlush })].map(({ reading }) => {
          return [reading.sensor, reading.takenAt, reading.state, reading.values];
        });
        expect(arrays).to.deep.equal(objects);
      }),
      runs(200),
    );
  });
});

describe('the writer of columns', () => {
  /** With what the packed columns hold; of readings with one metric, or none. */
  const unpacked = (flushes: readonly Flush[]) => {
    const columns = columnsOf(flushes);
    const { readingCount } = boundsOf(flushes);
    const series = lengthOfRuns(columns.shapeRuns);
    const integers = readingCount - columns.doubles.length;
    const hasIntegers = columns.scaleRuns[0] !== 16 && columns.metrics.length > 0;
    const column = (name: 'firsts' | 'deltas' | 'counts' | 'startsMs' | 'stepsMs', count: number) => [
      ...unpack(name, columns[name], count),
    ];
    return {
      ...columns,
      counts: column('counts', series),
      startsMs: column('startsMs', series),
      stepsMs: column('stepsMs', readingCount - series),
      firsts: hasIntegers ? column('firsts', 1) : [...columns.firsts],
      deltas: hasIntegers ? column('deltas', integers - 1) : [...columns.deltas],
    };
  };

  it('takes the smallest scale that is exact for the whole column', () => {
    expect(unpacked(saying(1, 2, 3))).to.deep.include({ scaleRuns: [0, 1], firsts: [1], deltas: [1, 1], doubles: [] });
    expect(unpacked(saying(1, 2.5, 0.29))).to.deep.include({ scaleRuns: [2, 1], firsts: [100], deltas: [150, -221] });
    expect(unpacked(saying(1e-15))).to.deep.include({ scaleRuns: [15, 1], firsts: [1] });
  });

  it('keeps as doubles what no integer gives back, and what is too large to subtract', () => {
    for (const value of [-0, 0.1 + 0.2, 1e-16, 5e-324, 2 ** 51, 2 ** 53, 1e300]) {
      expect(unpacked(saying(1, value))).to.deep.include({ scaleRuns: [16, 1], firsts: [], doubles: [1, value] });
    }
    expect(unpacked(saying(0))).to.deep.include({ scaleRuns: [0, 1], firsts: [0] });
    const far = [2 ** 51 - 1, -(2 ** 51) + 1, 2 ** 51 - 1];
    expect(unpacked(saying(...far))).to.deep.include({ firsts: [2 ** 51 - 1], deltas: [-(2 ** 52) + 2, 2 ** 52 - 2] });
    expect(thereAndBack(saying(...far))).to.deep.equal(saying(...far));
  });

  it('keeps a counter that starts again in one series', () => {
    const counter = Array.from({ length: 20 }, (_, i) => (i < 12 ? 5e12 + i : i - 12));
    expect(unpacked(saying(...counter))).to.deep.include({ counts: [20], firsts: [5e12], doubles: [] });
    expect(thereAndBack(saying(...counter))).to.deep.equal(saying(...counter));
  });

  it('keeps any step of time in one series', () => {
    const at = (...times: number[]): Flush[] => [
      {
        number: 0,
        readings: times.map((time) => ({ sensor: 1, takenAt: epochMs(time), state: 1, message: '', values: [] })),
      },
    ];
    const far = [MAX_ABSOLUTE_MS, -MAX_ABSOLUTE_MS, MAX_ABSOLUTE_MS];
    expect(unpacked(at(...far)).counts).to.deep.equal([3]);
    expect(thereAndBack(at(...far))).to.deep.equal(at(...far));
    expect(unpacked(at(5_000, 4_000, 3_000))).to.deep.include({
      baseMs: 5_000,
      startsMs: [0],
      stepsMs: [-1000, -1000],
    });
  });

  it('cuts a series where the shape changes, and writes each shape once', () => {
    const make = (i: number, ...names: string[]): Reading => ({
      sensor: 1,
      takenAt: epochMs(i),
      state: 1,
      message: '',
      values: names.map((name) => ({ name, unit: '', value: i })),
    });
    const readings = [make(0, 'a'), make(1, 'a'), make(2, 'b', 'a'), make(3, 'a'), make(4), make(5, 'a', 'b')];
    const columns = columnsOf([{ number: 0, readings }]);
    expect([...unpack('counts', columns.counts, 5)]).to.deep.equal([2, 1, 1, 1, 1]);
    expect(columns.metrics.map(({ name }) => name)).to.deep.equal(['a', 'b']);
    expect(columns.shapes).to.deep.equal([1, 0, 2, 1, 0, 0, 2, 0, 1]);
    expect(columns.shapeRuns).to.deep.equal([0, 1, 1, 1, 0, 1, 2, 1, 3, 1]);
  });

  it('writes messages once, and no column at all when there are none', () => {
    const flushes = saying(1, 2, 3, 4);
    expect(columnsOf(flushes)).to.deep.include({ messages: [], messageRuns: [] });
    const texts = ['', 'hot', 'hot', 'cold'];
    const readings = (flushes[0]?.readings ?? []).map((reading, i) => ({ ...reading, message: texts[i] ?? '' }));
    expect(columnsOf([{ number: 0, readings }])).to.deep.include({
      messages: ['hot', 'cold'],
      messageRuns: [0, 1, 1, 2, 2, 1],
    });
  });
});
