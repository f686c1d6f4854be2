// Received bytes may be anything. They are refused with telemetry.malformed, or they are a batch of valid readings.
import { deflateRawSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { Batch, Columns, Compression } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { epochMs } from '../../../src/kernel/duration.js';
import { MAX_COLUMNS_BYTES, openBatchHeader, packBatch, unpackBatch } from '../../../src/telemetry/batch.js';
import { decodeColumns } from '../../../src/telemetry/columns-decode.js';
import { encodeColumns } from '../../../src/telemetry/columns-encode.js';
import { TelemetryFault } from '../../../src/telemetry/fault.js';
import { checkReading, type Flush, MAX_FLUSHES, MAX_READINGS, type Reading } from '../../../src/telemetry/reading.js';
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
const bounds = { firstFlush: 5, flushCount: 2, readingCount: 5 };
const valid = encodeColumns(flushes, 5);

function refuses(action: () => unknown): void {
  expect(action).to.throw(TelemetryFault).with.property('code', 'telemetry.malformed');
}

/** A batch around these bytes that does not itself lie about them. */
function around(plain: Uint8Array, change: Partial<Batch> = {}): Uint8Array {
  return Batch.encode({
    ...{ machineId: id, log: id, chain: id, firstFlush: 5, flushCount: 2, readingCount: 5 },
    ...{ compression: Compression.NONE, columnsSize: plain.length, columns: plain },
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
    'fewer series than counts': { sensors: [1] },
    'an empty series': { counts: [5, 0] },
    'a count that is too high': { counts: [huge, 2] },
    'a count that is too low': { counts: [2, 2] },
    'a sensor beyond 32 bits': { sensors: [huge, 1] },
    'a missing start': { startsMs: [0] },
    'a first start that is not 0': { startsMs: [1, 0] },
    'a missing step': { stepsMs: valid.stepsMs.slice(1) },
    'a step too many': { stepsMs: [...valid.stepsMs, 0] },
    'a timestamp out of range': { baseMs: 2 ** 52 },
    'a flush behind the last': { flushRuns: [2, 1, 0, 4] },
    'flushes that add up': { flushRuns: [1, 5] },
    'runs that are too short': { flushRuns: [0, 4] },
    'runs that are too long': { flushRuns: [0, 6] },
    'runs that claim very much': { flushRuns: [0, huge] },
    'a run of nothing': { stateRuns: [1, 0, 1, 5] },
    'half a run': { stateRuns: [1, 5, 1] },
    'no states': { stateRuns: [] },
    'state 0': { stateRuns: [0, 5] },
    'state 5': { stateRuns: [5, 5] },
    'a message that is not there': { messageRuns: [2, 5] },
    'messages for too few': { messageRuns: [1, 4] },
    'a long message': { messages: ['x'.repeat(1025)] },
    'more messages than readings': { messages: Array.from({ length: 6 }, String) },
    'a metric without a name': { metrics: [{ name: '', unit: '' }, ...valid.metrics.slice(1)] },
    'a metric with a long name': { metrics: [{ name: 'n'.repeat(129), unit: '' }, ...valid.metrics.slice(1)] },
    'a metric with a long unit': { metrics: [{ name: 'n', unit: 'u'.repeat(65) }, ...valid.metrics.slice(1)] },
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
    'a first too many': { firsts: [...valid.firsts, 1] },
    'a first too few': { firsts: valid.firsts.slice(1) },
    'a delta too many': { deltas: [...valid.deltas, 1] },
    'a double too many': { doubles: [...valid.doubles, 1] },
    'an integer beyond 2^53': { firsts: valid.firsts.map(() => 2 ** 53 - 1) },
    NaN: { doubles: valid.doubles.map(() => Number.NaN) },
    infinity: { doubles: valid.doubles.map(() => Number.POSITIVE_INFINITY) },
  };
  for (const [what, lie] of Object.entries(lies)) {
    it(`are refused: ${what}`, () => refuses(() => decodeColumns({ ...valid, ...lie }, bounds)));
  }

  it('are refused when the batch counts otherwise', () => {
    for (const readingCount of [0, 4, 6, MAX_READINGS, MAX_READINGS + 1])
      refuses(() => decodeColumns(valid, { ...bounds, readingCount }));
    for (const flushCount of [0, 1, MAX_FLUSHES + 1, 2 ** 32 - 1])
      refuses(() => decodeColumns(valid, { ...bounds, flushCount }));
  });

  it('are refused when a sensor has series in the wrong order', () => {
    const plain = (i: number): Reading => ({ ...make(1, i, i), message: '', values: [] });
    const two = encodeColumns(
      [5, 6].map((number, i) => ({ number, readings: [plain(i)] })),
      5,
    );
    const apart = { ...two, counts: [1, 1], sensors: [1, 0], startsMs: [0, 1000], stepsMs: [], shapeRuns: [0, 2] };
    const of = { firstFlush: 5, flushCount: 2, readingCount: 2 };
    expect(decodeColumns({ ...apart, flushRuns: [0, 1, 1, 1] }, of)[1]?.readings).to.deep.equal([plain(1)]);
    refuses(() => decodeColumns({ ...apart, flushRuns: [1, 1, 0, 1] }, of));
  });
});

describe('hostile batches', () => {
  const plain = Columns.encode(valid).finish();
  const lies: Record<string, Partial<Batch>> = {
    'a short machine id': { machineId: id.subarray(1) },
    'a long log id': { log: Buffer.alloc(17) },
    'no chain': { chain: new Uint8Array() },
    'no flushes': { flushCount: 0 },
    'too many flushes': { flushCount: MAX_FLUSHES + 1 },
    'flush numbers beyond 2^53': { firstFlush: 2 ** 53 - 1 },
    'no readings': { readingCount: 0 },
    'too many readings': { readingCount: MAX_READINGS + 1 },
    'no compression': { compression: Compression.UNSPECIFIED },
    'another compression': { compression: 3 as Compression },
    'a wrong size': { columnsSize: plain.length + 1 },
    'no size': { columnsSize: 0, columns: new Uint8Array() },
    'too large a size': { columnsSize: MAX_COLUMNS_BYTES + 1 },
  };
  for (const [what, lie] of Object.entries(lies)) {
    it(`are refused by their header: ${what}`, () => refuses(() => openBatchHeader(around(plain, lie))));
  }

  it('are refused when they are no message at all', () => {
    refuses(() => openBatchHeader(Uint8Array.of(0xff)));
    refuses(() => openBatchHeader(new Uint8Array()));
  });

  it('are not decompressed beyond the size that they claim', () => {
    const deflated = { compression: Compression.DEFLATE, columns: deflateRawSync(plain) };
    expect(unpackBatch(around(plain, deflated)).flushes()).to.deep.equal(flushes);
    refuses(() => unpackBatch(around(plain, { ...deflated, columnsSize: plain.length - 1 })).flushes());
    refuses(() => unpackBatch(around(plain, { ...deflated, columnsSize: plain.length + 1 })).flushes());
    refuses(() => unpackBatch(around(plain, { ...deflated, columns: deflated.columns.subarray(0, -4) })).flushes());
    const bomb = deflateRawSync(Buffer.alloc(64 * MAX_COLUMNS_BYTES));
    const before = process.memoryUsage().arrayBuffers;
    refuses(() => unpackBatch(around(plain, { ...deflated, columns: bomb, columnsSize: MAX_COLUMNS_BYTES })).flushes());
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(8 * MAX_COLUMNS_BYTES);
  });

  it('are refused quickly, whatever fills the columns to the brim', () => {
    // Each: a tag and its smallest content, over and over.
    const fillings = [
      [0x52, 0],
      [0x42, 0],
      [0x5a, 1, 0],
      [0x28, 0],
      [0x7a, 1, 0],
      [0x1a, 1, 1],
      [0x93],
      [0xa3, 1],
      [0],
    ];
    const started = process.cpuUsage();
    for (const filling of fillings) {
      const full = Buffer.alloc(MAX_COLUMNS_BYTES, Buffer.from(filling));
      refuses(() => unpackBatch(around(full, { readingCount: MAX_READINGS, flushCount: MAX_FLUSHES })).flushes());
    }
    expect(process.cpuUsage(started).user / 1e6 / fillings.length, 'CPU seconds each').to.be.below(0.25);
  });

  it('cost little when they are valid, however much they unfold to', () => {
    // Everything at its limit, in a few hundred bytes: as many readings as may be, each with as many values as fit.
    const width = MAX_COLUMNS_BYTES / MAX_READINGS - 3;
    const values = Array.from({ length: width }, (_, i) => ({ name: `m${i}`, unit: '', value: 0 }));
    const all = Array.from({ length: MAX_FLUSHES }, (_, number) => ({
      number,
      readings: [{ ...make(1, 0, 0), message: '', values }],
    }));
    const bomb = packBatch({ machineId: id, log: id, firstFlush: 0, flushes: all, chain: id });
    expect(bomb.length, 'bytes on the wire').to.be.below(2_000);
    const unfolded = unpackBatch(bomb).flushes();
    const objects = unfolded.reduce((sum, { readings }) => sum + 1 + readings.length + readings.length * width, 0);
    // These take some 30 ms of an event loop and 20 MB; four times as much, four times that.
    expect(objects).to.be.within(200_000, 300_000);
  });
});

/** What every receiver may rely on. Returns whether the bytes were accepted. */
function refusedOrValid(content: Uint8Array): boolean {
  let received: Flush[];
  let count: number;
  try {
    const batch = unpackBatch(content);
    received = batch.flushes();
    count = batch.header.readingCount;
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
        refusedOrValid(around(noise, { compression: Compression.DEFLATE, columnsSize: 100 }));
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
          const whole = packBatch({ machineId: id, log: id, firstFlush, flushes: good, chain: id });
          let bytes = inside ? Columns.encode(encodeColumns(good, firstFlush)).finish() : whole;
          for (const { at, remove, insert } of changes) {
            const where = Math.floor(at * bytes.length);
            bytes = Buffer.concat([bytes.subarray(0, where), insert, bytes.subarray(where + remove)]);
          }
          const { readingCount, flushCount } = openBatchHeader(whole);
          const accepted = refusedOrValid(inside ? around(bytes, { firstFlush, readingCount, flushCount }) : bytes);
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
