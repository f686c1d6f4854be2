import { expect } from 'chai';
import fc from 'fast-check';
import { concat, rangeOf, readU32be, readU64be, successor, u32be, u64be } from '../../../src/storage/keys.js';

describe('storage keys', () => {
  const safe = fc.maxSafeNat();

  it('keep the order of numbers and give them back', () => {
    fc.assert(
      fc.property(safe, safe, (a, b) => {
        expect(Math.sign(Buffer.compare(u64be(a), u64be(b)))).to.equal(Math.sign(a - b));
        expect(readU64be(concat('x', u64be(a)), 1)).to.equal(a);
      }),
    );
    expect(u64be(2 ** 53 - 1).toString('hex')).to.equal('001fffffffffffff');
    expect(readU32be(u32be(0xfffffffe))).to.equal(0xfffffffe);
  });

  it('refuse numbers that do not fit', () => {
    for (const n of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => u64be(n), String(n)).to.throw(RangeError);
    for (const n of [-1, 2 ** 32]) expect(() => u32be(n), String(n)).to.throw(RangeError);
    expect(() => concat(256)).to.throw(RangeError);
    expect(() => readU64be(Buffer.alloc(8, 0xff))).to.throw(RangeError);
  });

  it('of a prefix are exactly those in its range', () => {
    const prefix = fc.uint8Array({ minLength: 1, maxLength: 3 }).filter((bytes) => bytes.some((byte) => byte !== 0xff));
    const key = fc.uint8Array({ maxLength: 5 });
    fc.assert(
      fc.property(prefix, key, fc.boolean(), (start, rest, extend) => {
        const candidate = extend ? concat(start, rest) : Buffer.from(rest);
        const { from, until } = rangeOf(start);
        const inRange = Buffer.compare(candidate, from) >= 0 && Buffer.compare(candidate, until) < 0;
        expect(inRange).to.equal(candidate.subarray(0, start.length).equals(start));
      }),
    );
    expect(successor(Buffer.of(1, 0xff, 0xff))).to.deep.equal(Buffer.of(2));
    for (const endless of [Buffer.alloc(0), Buffer.of(0xff)]) expect(() => rangeOf(endless)).to.throw(RangeError);
  });
});
