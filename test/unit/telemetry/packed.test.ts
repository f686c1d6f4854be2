import { expect } from 'chai';
import fc from 'fast-check';
import { TelemetryFault } from '../../../src/telemetry/fault.js';
import { PackedWriter, unpack } from '../../../src/telemetry/packed.js';
import { runs } from './arbitraries.js';

const pack = (values: readonly number[]): Uint8Array => {
  const writer = new PackedWriter();
  for (const value of values) writer.add(value);
  return writer.finish();
};

function refuses(action: () => unknown): void {
  expect(action).to.throw(TelemetryFault).with.property('code', 'telemetry.malformed');
}

// Any two of them differ by less than 2^53.
const integer = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.integer(),
  fc.integer({ min: -(2 ** 52) + 1, max: 2 ** 52 - 1 }),
  fc.constantFrom(0, -(2 ** 52) + 1, 2 ** 52 - 1, 2 ** 32, -(2 ** 31), 2 ** 25, 2 ** 24 - 1),
);

describe('packed columns', () => {
  it('give back any integers', () => {
    fc.assert(
      fc.property(fc.array(integer, { maxLength: 300, size: 'max' }), (values) => {
        expect([...unpack('test', pack(values), values.length)]).to.deep.equal(values);
      }),
      runs(500),
    );
  });

  it('give back every width', () => {
    for (let width = 0; width <= 53; width++) {
      const values = Array.from({ length: 140 }, (_, i) =>
        i % 3 === 0 ? 2 ** width - 1 : i % 3 === 1 ? 0 : 2 ** width / 2,
      );
      const whole = values.map(Math.floor);
      expect([...unpack('test', pack(whole), whole.length)], `${width} bits`).to.deep.equal(whole);
    }
  });

  it('never change: known bytes', () => {
    expect(Buffer.from(pack([]))).to.have.length(0);
    // Lowest -1, 2 bits each: 0, 1, 2, 3 from the lowest bit on.
    expect(Buffer.from(pack([-1, 0, 1, 2])).toString('hex')).to.equal('0102e4');
    // A column of equal values has no bits at all.
    expect(Buffer.from(pack(Array.from({ length: 128 }, () => 1_000))).toString('hex')).to.equal('d00f00');
    // 13 bits: 0 and 5,000; the rest of the last byte is zeros.
    expect(Buffer.from(pack([5, 5_005])).toString('hex')).to.equal('0a0d00007102');
  });

  it('cost a wild value its own frame only', () => {
    const calm = Array.from({ length: 1_280 }, (_, i) => i % 2);
    const wild = calm.map((value, i) => (i === 100 ? 1e12 : value));
    expect(pack(calm)).to.have.length(10 * (2 + 16));
    expect(pack(wild)).to.have.length(9 * (2 + 16) + 2 + 40 * 16);
  });

  it('are refused when they are not just what is due', () => {
    const good = pack([1, 2, 3, 4, 1_000]);
    expect([...unpack('test', good, 5)]).to.deep.equal([1, 2, 3, 4, 1_000]);
    refuses(() => unpack('test', good.subarray(0, -1), 5));
    refuses(() => unpack('test', Buffer.concat([good, Buffer.of(0)]), 5));
    refuses(() => unpack('test', good, 140));
    refuses(() => unpack('test', good, 0));
    refuses(() => unpack('test', new Uint8Array(), 1));
    refuses(() => unpack('test', Buffer.of(0), 1));
    refuses(() => unpack('test', Buffer.concat([Buffer.of(0, 54), Buffer.alloc(7)]), 1));
    refuses(() => unpack('test', Buffer.alloc(12, 0x80), 1));
  });
});
