import { expect } from 'chai';
import fc from 'fast-check';
import { Compression } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { epochMs } from '../../../src/kernel/duration.js';
import {
  type BatchParts,
  MAX_COLUMNS_BYTES,
  openBatchHeader,
  packBatch,
  unpackBatch,
} from '../../../src/telemetry/batch.js';
import { TelemetryFault } from '../../../src/telemetry/fault.js';
import {
  canonicalOrder,
  checkReading,
  type Flush,
  MAX_FLUSHES,
  MAX_MESSAGE_BYTES,
  MAX_METRICS,
  MAX_NAME_BYTES,
  MAX_READINGS,
  MAX_UNIT_BYTES,
  type Reading,
} from '../../../src/telemetry/reading.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { anyFlushes, randomWalk, runs } from './arbitraries.js';

const machineId = Buffer.alloc(16, 0xaa);
const log = Buffer.from('0190163d8694739bab1ea8e2d3c5f001', 'hex');
const chain = Buffer.alloc(16, 0xcc);
const partsOf = (flushes: readonly Flush[]): BatchParts => ({
  ...{ machineId, log, chain, flushes },
  firstFlush: flushes[0]?.number ?? 0,
});
const pack = (flushes: readonly Flush[]) => packBatch(partsOf(flushes));

function reading(sensor: number, ms: number, more: Partial<Reading> = {}): Reading {
  const values = [{ name: 'used', unit: '%', value: 50 + ms / 100 }];
  return { sensor, takenAt: epochMs(1_767_225_600_000 + ms), state: 1, message: '', values, ...more };
}

describe('batches', () => {
  it('give back what was packed', () => {
    fc.assert(
      fc.property(anyFlushes, (flushes) => {
        const content = pack(flushes);
        const batch = unpackBatch(content);
        expect(batch.flushes()).to.deep.equal(
          flushes.map(({ number, readings }) => ({ number, readings: [...canonicalOrder(readings)] })),
        );
        expect(batch.header).to.deep.equal(openBatchHeader(content));
        expect(Buffer.from(batch.header.log).equals(log)).to.equal(true);
        expect(batch.header.flushCount).to.equal(flushes.length);
        expect(batch.latest().map(({ sensor }) => sensor)).to.deep.equal(
          [...new Set(flushes.flatMap(({ readings }) => readings.map(({ sensor }) => sensor)))].sort((a, b) => a - b),
        );
      }),
      runs(200),
    );
  });

  it('never change: known bytes of every column', () => {
    const flushes: Flush[] = [
      { number: 300, readings: [reading(1, 0), reading(1, 1_000), reading(9, 3, { values: [] })] },
      { number: 301, readings: [] },
      {
        number: 302,
        readings: [
          reading(1, 2_005, { state: 2, message: 'höher' }),
          reading(9, 1_003, { values: [{ name: 'rta', unit: 'ms', value: -0 }] }),
        ],
      },
    ];
    const golden = [
      '0a10aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa12100190163d8694739bab1ea8e2d3c5f00118ac0220032a10cccccccccc',
      'cccccccccccccccccccccc30053801407e4a7e0880a0d5edee6612030108001a0303010122040006d00f2a03d00f0a32',
      '0800020201000102013a06010202010102420668c3b66865724a0600020101000252090a047573656412012552090a03',
      '72746112026d735a05010000010162060001010102016a04020110017202904e7a04d00fda0f82010800000000000000',
      '80',
    ].join('');
    expect(Buffer.from(pack(flushes)).toString('hex')).to.equal(golden);
    expect(unpackBatch(Buffer.from(golden, 'hex')).flushes()).to.deep.equal(flushes);
  });

  it('can be read for ever: known compressed bytes', () => {
    const hot = (i: number) => reading(i, i * 500, { message: 'hot'.repeat(100 * i) });
    const flushes = [{ number: 0, readings: [1, 2, 3].map(hot) }];
    // Only reading is fixed: another zlib may compress the same columns otherwise.
    const golden = [
      '0a10aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa12100190163d8694739bab1ea8e2d3c5f00120012a10cccccccccccccccc',
      'cccccccccccccccc3003380240d60e4a64e378b1fceadb776942cc8c8c8c5220428995e105fb0b76232606662b264666',
      'a7354c19f925a38848e4748365c0dd308a8625726a611f70378ca25134c291171b2323132333631027174b69716a8a10',
      'a36a141323431213037316130373114b5e45132300',
    ].join('');
    expect(unpackBatch(Buffer.from(golden, 'hex')).flushes()).to.deep.equal(flushes);
    expect(openBatchHeader(pack(flushes)).compression).to.equal(Compression.DEFLATE);
  });

  it('are not compressed when small, or when it does not pay', () => {
    expect(openBatchHeader(pack([{ number: 0, readings: [reading(1, 0)] }])).compression).to.equal(Compression.NONE);
    const random = seededRandom(testSeed);
    const anyDouble = () => random.bytes(8).readDoubleLE();
    const values = Array.from({ length: 500 }, () => ({ name: 'v', unit: '', value: anyDouble() }));
    const readings = values
      .filter(({ value }) => Number.isFinite(value))
      .map((value) => reading(1, 0, { values: [value] }));
    expect(openBatchHeader(pack([{ number: 0, readings }])).compression).to.equal(Compression.NONE);
  });

  it('have limits, which are no loss: seal fewer', () => {
    const many = Array.from({ length: MAX_READINGS + 1 }, () => reading(1, 0));
    const loud = Array.from({ length: 300 }, (_, i) => reading(1, 0, { message: String(i).padEnd(1_000, '.') }));
    const empty = Array.from({ length: MAX_FLUSHES + 1 }, (_, number) => ({
      number,
      readings: number === 0 ? [reading(1, 0)] : [],
    }));
    expect(MAX_COLUMNS_BYTES).to.be.below(300 * 1_000);
    for (const flushes of [[{ number: 0, readings: many }], [{ number: 0, readings: loud }], empty]) {
      expect(() => pack(flushes))
        .to.throw(TelemetryFault)
        .with.property('code', 'telemetry.too-large');
    }
    expect(unpackBatch(pack([{ number: 0, readings: many.slice(1) }])).table().readingCount).to.equal(MAX_READINGS);
    expect(unpackBatch(pack(empty.slice(0, -1))).flushes()).to.have.length(MAX_FLUSHES);
  });

  it('hold any one reading, however large: a flush is never split', () => {
    const random = seededRandom(testSeed);
    const values = Array.from({ length: MAX_METRICS }, (_, i) => ({
      name: String(i).padEnd(MAX_NAME_BYTES, 'n'),
      // Each another one, so that none is written once for all.
      unit: String(i).padStart(MAX_UNIT_BYTES, 'u'),
      value: random.uniform() * 1e300,
    }));
    const largest = reading(1, 0, { message: 'm'.repeat(MAX_MESSAGE_BYTES), values });
    checkReading(largest);
    const content = pack([{ number: 0, readings: [largest] }]);
    expect(unpackBatch(content).flushes()).to.deep.equal([{ number: 0, readings: [largest] }]);
    expect(openBatchHeader(content).columnsSize, 'not far from the limit').to.be.above(MAX_COLUMNS_BYTES * 0.75);
  });

  it('are not made of what is no batch', () => {
    const good = { number: 0, readings: [reading(1, 0)] };
    const bad: BatchParts[] = [
      partsOf([]),
      partsOf([{ number: 0, readings: [] }]),
      partsOf([good, { ...good, number: 2 }]),
      { ...partsOf([good]), firstFlush: 1 },
      { ...partsOf([good]), log: log.subarray(1) },
    ];
    for (const parts of bad) {
      expect(() => packBatch(parts))
        .to.throw(TelemetryFault)
        .with.property('code', 'telemetry.invalid');
    }
  });
});

describe('the size of a batch', () => {
  // Bytes per reading of the whole serialised batch, of which 68 bytes in all are its header.
  const cases = [
    { what: '100 readings in 5 flushes, walking', readings: 100, flushes: 5, step: 1, limit: 3.6 },
    { what: '100 readings in 1 flush, walking', readings: 100, flushes: 1, step: 1, limit: 3.6 },
    { what: '100 readings in 5 flushes, constant', readings: 100, flushes: 5, step: 0, limit: 3.3 },
    { what: '500 readings in 25 flushes, walking', readings: 500, flushes: 25, step: 1, limit: 1.7 },
    { what: '500 readings in 13 flushes, walking', readings: 500, flushes: 13, step: 1, limit: 1.7 },
    { what: '500 readings in 25 flushes, constant', readings: 500, flushes: 25, step: 0, limit: 1.4 },
  ];
  for (const { what, limit, ...walk } of cases) {
    it(`${what}: at most ${limit} bytes per reading`, () => {
      const size = pack(randomWalk(seededRandom(testSeed), { sensors: 20, ...walk })).length / walk.readings;
      expect(size, `seed ${testSeed}`).to.be.below(limit);
      // The bound means something: the readings are no smaller than this.
      expect(size).to.be.above(0.5);
    });
  }
});
