// Received bytes may be anything. They are refused with telemetry.malformed, or they are a batch of valid readings.
import { deflateRawSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { Batch, Columns } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { epochMs } from '../../../src/kernel/duration.js';
import { MAX_COLUMNS_BYTES, openBatchHeader, packBatch, unpackBatch } from '../../../src/telemetry/batch.js';
import { decodeColumns, ReadingTable } from '../../../src/telemetry/columns-decode.js';
import { encodeColumns } from '../../../src/telemetry/columns-encode.js';
import { TelemetryFault } from '../../../src/telemetry/fault.js';
import { PackedWriter } from '../../../src/telemetry/packed.js';
import { checkReading, type Flush, type Reading } from '../../../src/telemetry/reading.js';
import { anyFlushes, runs } from './arbitraries.js';

const id = Buffer.alloc(16, 7);
const make = (sensor: number, i: number, value: number): Reading => ({
  sensor,
  takenAt: epochMs(1_000 * i),
  state: 1,
  message: i === 1 ? 'hot' : '',
  values: [
    { name: 'a', unit: '', value },
    { name: 'b', unit: 's', value: value / 3 },
  ],
});
const flushes: Flush[] = [
  { number: 5, readings: [make(1, 0, 1), make(1, 1, 2), make(2, 0, 3)] },
  { number: 6, readings: [make(1, 2, 3), make(2, 1, 4)] },
];
const bounds = { firstFlush: 5, flushCount: 2, readingCount: 5, valueCount: 10 };
const valid = encodeColumns(flushes, 5);

function refuses(action: () => unknown): void {
  expect(action).to.throw(TelemetryFault).with.property('code', 'telemetry.malformed');
}

const packed = (...values: number[]): Uint8Array => {
  const writer = new PackedWriter();
  for (const value of values) writer.add(value);
  return writer.finish();
};

/** A batch around these bytes that does not itself lie about them. */
function around(plain: Uint8Array, change: Partial<Batch> = {}): Uint8Array {
  return Batch.encode({
    ...{ log: id, chain: id, firstFlush: 5, flushCount: 2, readingCount: 5, valueCount: 10 },
    ...{ inflatedSize: 0, columns: plain },
    ...change,
  }).finish();
}

describe('hostile columns', () => {
  it('are told from good ones (control)', () => {
    expect(decodeColumns(valid, bounds)).to.deep.equal(flushes);
    expect(unpackBatch(around(Columns.encode(valid).finish())).flushes()).to.deep.equal(flushes);
  });

  const huge = 2 ** 32 - 1;
  const lies: Record<string, Partial<Columns>> = {
    'sensors that are cut off': { sensors: valid.sensors.subarray(0, -1) },
    'an empty series': { counts: packed(5, 0) },
    'a count that is too high': { counts: packed(huge, 2) },
    'a count that is too low': { counts: packed(2, 2) },
    'a count below zero': { counts: packed(6, -1) },
    'a sensor below zero': { sensors: packed(-1, 1) },
    'sensors in the wrong order': { sensors: packed(2, -1) },
    'a sensor beyond 32 bits': { sensors: packed(huge, 1) },
    'starts that are cut off': { startsMs: valid.startsMs.subarray(0, -1) },
    'a first start that is not 0': { startsMs: packed(1, 0) },
    'no steps': { stepsMs: packed() },
    'more than steps': { stepsMs: Buffer.concat([valid.stepsMs, Buffer.of(0)]) },
    'a timestamp out of range': { baseMs: 2 ** 51 },
    'a flush behind the last': { flushes: packed(2, 0, 0, 0, 0) },
    'a flush before the one before': { flushes: packed(1, -1, 0, 0, 1) },
    'flushes that add up': { flushes: packed(1, 1, 1, 1, 1) },
    'runs that are too short': { stateRuns: [1, 4] },
    'runs that are too long': { stateRuns: [1, 6] },
    'runs that claim very much': { stateRuns: [1, huge] },
    'very many series': { shapeRuns: [0, huge] },
    'a run of nothing': { stateRuns: [1, 0, 1, 5] },
    'half a run': { stateRuns: [1, 5, 1] },
    'no flushes where there are two': { flushes: packed() },
    'state 0': { stateRuns: [0, 5] },
    'state 5': { stateRuns: [5, 5] },
    'a message that is not there': { messageRuns: [2, 5] },
    'messages for too few': { messageRuns: [1, 4] },
    'a long message': { messages: ['x'.repeat(1025)] },
    'more messages than readings': { messages: Array.from({ length: 6 }, String) },
    'a metric without a name': { metrics: [{ name: '', unit: '' }, ...valid.metrics.slice(1)] },
    'a metric with a long name': { metrics: [{ name: 'n'.repeat(129), unit: '' }, ...valid.metrics.slice(1)] },
    'a metric with a long unit': { metrics: [{ name: 'n', unit: 'u'.repeat(65) }, ...valid.metrics.slice(1)] },
    'messages that no reading has': { messages: [...valid.messages, 'cold'] },
    'messages without any reading': { messageRuns: [] },
    'messages in another order': { messages: ['hot', 'cold'], messageRuns: [2, 1, 1, 4] },
    'a metric of no shape': { metrics: [...valid.metrics, { name: 'c', unit: '' }] },
    'metrics in another order': { shapes: [2, 1, 0] },
    'a shape of no series': { shapes: [...valid.shapes, 0] },
    'half a run of shapes': { shapeRuns: [...valid.shapeRuns, 0] },
    'shapes for none': { shapeRuns: [...valid.shapeRuns, 0, 0] },
    'metrics of no shape': { metrics: Array.from({ length: 9 }, (_, i) => ({ name: `m${i}`, unit: '' })) },
    'a shape with an unknown metric': { shapes: [2, 0, 2] },
    'a shape with a metric twice': { shapes: [2, 0, 0] },
    'a shape that is cut off': { shapes: [3, 0, 1] },
    'a shape wider than allowed': { shapes: [huge, 0, 1] },
    'shapes of no series': { shapes: [2, 0, 1, 0, 0] },
    'no shapes': { shapes: [], metrics: [] },
    'a series with an unknown shape': { shapeRuns: [1, 2] },
    'shapes for too many series': { shapeRuns: [0, 3] },
    'a scale of 17': { scaleRuns: [17, 4] },
    'scales for too few columns': { scaleRuns: valid.scaleRuns.slice(0, 2) },
    'scales for very many columns': { scaleRuns: [...valid.scaleRuns, 16, huge] },
    'all doubles': { scaleRuns: [16, 4] },
    'all integers': { scaleRuns: [0, 4] },
    'a first too many': { firsts: packed(1, 2, 3, 4, 5) },
    'no firsts': { firsts: packed() },
    'a delta too many': { deltas: packed(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) },
    'a frame without bits': { deltas: Buffer.of(0) },
    'a frame of 54 bits': { deltas: Buffer.concat([Buffer.of(0, 54), Buffer.alloc(400)]) },
    'a double too many': { doubles: [...valid.doubles, 1] },
    'an integer beyond 2^51': { firsts: packed(2 ** 51, 2 ** 51) },
    NaN: { doubles: valid.doubles.map(() => Number.NaN) },
    infinity: { doubles: valid.doubles.map(() => Number.POSITIVE_INFINITY) },
  };
  for (const [what, lie] of Object.entries(lies)) {
    // As a whole and at once, whatever is asked for afterwards.
    it(`are refused: ${what}`, () => refuses(() => new ReadingTable({ ...valid, ...lie }, bounds)));
  }

  it('are refused later where they have been checked before: when flushes or messages are asked for', () => {
    for (const lie of [lies['a flush behind the last'], lies['a message that is not there']]) {
      const table = new ReadingTable({ ...valid, ...lie }, bounds, { checked: true });
      expect(table.series().map(({ takenAt }) => takenAt.length)).to.deep.equal([3, 2]);
      refuses(() => table.flushes());
    }
    // Negative control.
    expect(new ReadingTable(valid, bounds, { checked: true }).flushes()).to.deep.equal(flushes);
  });

  it('are refused when the batch counts otherwise', () => {
    for (const readingCount of [0, 4, 6, 4_096, 4_097])
      refuses(() => decodeColumns(valid, { ...bounds, readingCount }));
    for (const flushCount of [0, 1, 4_097, 2 ** 32 - 1]) refuses(() => decodeColumns(valid, { ...bounds, flushCount }));
    for (const valueCount of [0, 9, 11, 262_144, 262_145, 2 ** 32 - 1])
      refuses(() => decodeColumns(valid, { ...bounds, valueCount }));
  });

  it('are refused when a sensor has series in the wrong order', () => {
    const plain = (i: number): Reading => ({ ...make(1, i, i), message: '', values: [] });
    const two = encodeColumns(
      [5, 6].map((number, i) => ({ number, readings: [plain(i)] })),
      5,
    );
    const apart = {
      ...two,
      ...{ counts: packed(1, 1), sensors: packed(1, 0), startsMs: packed(0, 1000), stepsMs: packed() },
      shapeRuns: [0, 2],
    };
    const of = { firstFlush: 5, flushCount: 2, readingCount: 2, valueCount: 0 };
    expect(decodeColumns({ ...apart, flushes: packed(0, 1) }, of)[1]?.readings).to.deep.equal([plain(1)]);
    refuses(() => decodeColumns({ ...apart, flushes: packed(1, 0) }, of));
  });
});

describe('hostile batches', () => {
  const plain = Columns.encode(valid).finish();
  const lies: Record<string, Partial<Batch>> = {
    'a long log id': { log: Buffer.alloc(17) },
    'no chain': { chain: new Uint8Array() },
    'no flushes': { flushCount: 0 },
    'too many flushes': { flushCount: 4_097 },
    'flush numbers beyond 2^53': { firstFlush: 2 ** 53 - 1 },
    'no readings': { readingCount: 0 },
    'too many readings': { readingCount: 4_097 },
    'too many values': { valueCount: 262_145 },
    'no columns': { columns: new Uint8Array() },
    'too many columns': { columns: new Uint8Array(MAX_COLUMNS_BYTES + 1) },
    'too large a size': { inflatedSize: MAX_COLUMNS_BYTES + 1 },
  };
  for (const [what, lie] of Object.entries(lies)) {
    it(`are refused by their header: ${what}`, () => refuses(() => openBatchHeader(around(plain, lie))));
  }

  it('are refused when they are no message at all', () => {
    refuses(() => openBatchHeader(Uint8Array.of(0xff)));
    refuses(() => openBatchHeader(new Uint8Array()));
  });

  it('are not decompressed beyond the size that they claim', () => {
    const deflated = { inflatedSize: plain.length, columns: deflateRawSync(plain) };
    expect(unpackBatch(around(plain, deflated)).flushes()).to.deep.equal(flushes);
    refuses(() => unpackBatch(around(plain, { ...deflated, inflatedSize: plain.length - 1 })).flushes());
    refuses(() => unpackBatch(around(plain, { ...deflated, inflatedSize: plain.length + 1 })).flushes());
    refuses(() => unpackBatch(around(plain, { ...deflated, columns: deflated.columns.subarray(0, -4) })).flushes());
    const bomb = deflateRawSync(Buffer.alloc(64 * MAX_COLUMNS_BYTES));
    const before = process.memoryUsage().arrayBuffers;
    refuses(() =>
      unpackBatch(around(plain, { ...deflated, columns: bomb, inflatedSize: MAX_COLUMNS_BYTES })).flushes(),
    );
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(8 * MAX_COLUMNS_BYTES);
  });

  it('are refused quickly, whatever fills the columns to the brim', () => {
    // Each: a tag and its smallest content, over and over.
    const fillings = [
      [0x52, 0],
      [0x42, 0],
      [0x5a, 1, 0],
      [0x30, 0],
      [0x82, 1, 8, ...Buffer.alloc(8)],
      [0x93],
      [0xa3, 1],
      [0],
    ];
    const started = process.cpuUsage();
    for (const filling of fillings) {
      const full = Buffer.alloc(MAX_COLUMNS_BYTES, Buffer.from(filling));
      refuses(() =>
        unpackBatch(around(full, { readingCount: 4_096, flushCount: 4_096, valueCount: 262_144 })).flushes(),
      );
    }
    expect(process.cpuUsage(started).user / 1e6 / fillings.length, 'CPU seconds each').to.be.below(0.25);
  });
});

/** What every receiver may rely on. Returns whether the bytes were accepted. */
function refusedOrValid(content: Uint8Array): boolean {
  let received: Flush[];
  let count: number;
  let valueCount: number;
  try {
    const batch = unpackBatch(content);
    received = batch.flushes();
    count = batch.header.readingCount;
    valueCount = batch.header.valueCount;
  } catch (thrown) {
    if (thrown instanceof TelemetryFault && thrown.code === 'telemetry.malformed') return false;
    throw thrown;
  }
  const readings = received.flatMap((flush) => flush.readings);
  expect(readings).to.have.length(count);
  readings.forEach(checkReading);
  const first = received[0]?.number ?? 0;
  const again = decodeColumns(encodeColumns(received, first), {
    firstFlush: first,
    flushCount: received.length,
    readingCount: count,
    valueCount,
  });
  expect(again).to.deep.equal(received);
  return true;
}

describe('any bytes', () => {
  it('are refused or valid: noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        refusedOrValid(noise);
        refusedOrValid(around(noise));
        refusedOrValid(around(noise, { inflatedSize: 100 }));
      }),
      runs(500),
    );
  });

  it('are refused or valid: good batches with a few wrong bytes', () => {
    const change = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      remove: fc.integer({ min: 0, max: 2 }),
      insert: fc.uint8Array({ maxLength: 2 }),
    });
    const seen = { accepted: 0, refused: 0 };
    fc.assert(
      fc.property(
        anyFlushes,
        fc.array(change, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (good, changes, inside) => {
          const firstFlush = good[0]?.number ?? 0;
          const whole = packBatch({ log: id, firstFlush, chain: id }, good);
          let bytes = inside ? Columns.encode(encodeColumns(good, firstFlush)).finish() : whole;
          for (const { at, remove, insert } of changes) {
            const where = Math.floor(at * bytes.length);
            bytes = Buffer.concat([bytes.subarray(0, where), insert, bytes.subarray(where + remove)]);
          }
          const { readingCount, flushCount, valueCount } = openBatchHeader(whole);
          const accepted = refusedOrValid(
            inside ? around(bytes, { firstFlush, readingCount, flushCount, valueCount }) : bytes,
          );
          seen[accepted ? 'accepted' : 'refused'] += 1;
        },
      ),
      runs(1500),
    );
    // Otherwise the test would no longer reach what it is about.
    expect(seen.accepted).to.be.above(50);
    expect(seen.refused).to.be.above(50);
  });
});
