import { expect } from 'chai';
import fc from 'fast-check';
import { epochMs } from '../../../src/kernel/duration.js';
import {
  encodeFlushes,
  MAX_COLUMNS_BYTES,
  openBatchHeader,
  packBatch,
  packFlush,
  unpackBatch,
  valuesOf,
} from '../../../src/telemetry/batch.js';
import { TelemetryFault } from '../../../src/telemetry/fault.js';
import { canonicalOrder, type Flush, type Reading } from '../../../src/telemetry/reading.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { anyFlushes, randomWalk, runs } from './arbitraries.js';

const log = Buffer.from('0190163d8694739bab1ea8e2d3c5f001', 'hex');
const chain = Buffer.alloc(16, 0xcc);
const headOf = (flushes: readonly Flush[]) => ({ log, chain, firstFlush: flushes[0]?.number ?? 0 });
const pack = (flushes: readonly Flush[]) => packBatch(headOf(flushes), flushes);

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
        const sensors = new Set(flushes.flatMap(({ readings }) => readings.map(({ sensor }) => sensor)));
        expect(batch.latest().map(({ reading }) => reading.sensor)).to.deep.equal([...sensors].sort((a, b) => a - b));
      }),
      runs(200),
    );
  });

  it('of one flush take what has been encoded before', () => {
    fc.assert(
      fc.property(anyFlushes, (flushes) => {
        for (const flush of flushes.filter(({ readings }) => readings.length > 0)) {
          const { number, readings } = flush;
          // Whatever its number was then: a flush that is continued under another log gets another one.
          const columns = encodeFlushes([{ ...flush, number: 7 }], 7);
          const encoded = { columns, readingCount: readings.length, valueCount: valuesOf(readings) };
          expect(packFlush({ log, chain, firstFlush: number }, encoded)).to.deep.equal(pack([flush]));
        }
      }),
      runs(50),
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
      '0a100190163d8694739bab1ea8e2d3c5f00110ac0218032210cccccccccccccccccccccccccccccccc28053004427f08',
      '80a0d5edee661204000481001a030202022206000a000c803e2a04d00f03283204000220023a06010202010102420668',
      'c3b66865724a0600020101000252090a047573656412012552090a0372746112026d735a050100000101620600010101',
      '02016a04020110017203904e007a04d00f03288201080000000000000080',
    ].join('');
    expect(Buffer.from(pack(flushes)).toString('hex')).to.equal(golden);
    expect(unpackBatch(Buffer.from(golden, 'hex')).flushes()).to.deep.equal(flushes);
  });

  it('can be read for ever: known compressed bytes', () => {
    const hot = (i: number) => reading(i, i * 500, { message: 'hot'.repeat(100 * i) });
    const flushes = [{ number: 0, readings: [1, 2, 3].map(hot) }];
    // Only reading is fixed: another zlib may compress the same columns otherwise.
    const golden = [
      '0a100190163d8694739bab1ea8e2d3c5f00118012210cccccccccccccccccccccccccccccccc2803300338cd0e425de3',
      '78b1fceadb7769424c4c0c524c4c0c4a6c0c9c0c2f2eb33bad61cac82f19454422a71b2c03ee8651342c91530bfb80bb',
      '61148da2118ebcd81819991899198338b9584a8b5353841855a398181992981898b39818988b58f25802b800',
    ].join('');
    expect(unpackBatch(Buffer.from(golden, 'hex')).flushes()).to.deep.equal(flushes);
    expect(openBatchHeader(pack(flushes)).inflatedSize).to.be.above(0);
  });

  it('are not compressed when small, or when it does not pay', () => {
    expect(openBatchHeader(pack([{ number: 0, readings: [reading(1, 0)] }])).inflatedSize).to.equal(0);
    const random = seededRandom(testSeed);
    const anyDouble = () => random.bytes(8).readDoubleLE();
    const values = Array.from({ length: 500 }, () => ({ name: 'v', unit: '', value: anyDouble() }));
    const readings = values
      .filter(({ value }) => Number.isFinite(value))
      .map((value) => reading(1, 0, { values: [value] }));
    expect(openBatchHeader(pack([{ number: 0, readings }])).inflatedSize).to.equal(0);
  });

  it('have limits, which are no loss: seal fewer', () => {
    const many = Array.from({ length: 4_097 }, () => reading(1, 0));
    const loud = Array.from({ length: 300 }, (_, i) => reading(1, 0, { message: String(i).padEnd(1_000, '.') }));
    const values = Array.from({ length: 256 }, (_, n) => ({ name: `v${n}`, unit: '', value: 0 }));
    const wide = Array.from({ length: 1_025 }, () => reading(1, 0, { values }));
    const empty = Array.from({ length: 4_097 }, (_, number) => ({
      number,
      readings: number === 0 ? [reading(1, 0)] : [],
    }));
    expect(MAX_COLUMNS_BYTES).to.be.below(300 * 1_000);
    for (const flushes of [...[many, loud, wide].map((readings) => [{ number: 0, readings }]), empty]) {
      expect(() => pack(flushes))
        .to.throw(TelemetryFault)
        .with.property('code', 'telemetry.too-large');
    }
    expect(unpackBatch(pack([{ number: 0, readings: many.slice(1) }])).table().readingCount).to.equal(4_096);
    expect(unpackBatch(pack([{ number: 0, readings: wide.slice(1) }])).table().readingCount).to.equal(1_024);
  });

  it('are not made of what is no batch', () => {
    const good = { number: 0, readings: [reading(1, 0)] };
    const head = headOf([good]);
    const bad: Parameters<typeof packBatch>[] = [
      [head, []],
      [head, [{ number: 0, readings: [] }]],
      [head, [good, { ...good, number: 2 }]],
      [{ ...head, firstFlush: 1 }, [good]],
      [{ ...head, log: log.subarray(1) }, [good]],
    ];
    for (const parts of bad) {
      expect(() => packBatch(...parts))
        .to.throw(TelemetryFault)
        .with.property('code', 'telemetry.invalid');
    }
  });
});

describe('the size of a batch', () => {
  // Bytes per reading of the whole serialised batch, of which 50 bytes in all are its header.
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
