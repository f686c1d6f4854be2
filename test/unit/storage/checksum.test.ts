import { crc32 } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { crc32c, frame, tryUnframe, unframe } from '../../../src/storage/checksum.js';
import { StorageFault } from '../../../src/storage/store.js';

describe('storage checksums', () => {
  it('are CRC-32C as in RFC 3720 appendix B.4', () => {
    const ascending = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
    expect(crc32c(Buffer.from('123456789'))).to.equal(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).to.equal(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).to.equal(0x62a8ab43);
    expect(crc32c(ascending)).to.equal(0x46dd794e);
    expect(crc32c(Buffer.from(ascending).reverse())).to.equal(0x113fdb5c);
    expect(crc32c(Buffer.alloc(0))).to.equal(0);
  });

  it('are the same eight bytes at a time and one at a time', () => {
    const bitwise = (bytes: Uint8Array) => {
      let crc = 0xffffffff;
      for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
      }
      return ~crc >>> 0;
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(9), (bytes, start) => {
        const from = Math.min(start, bytes.length);
        expect(crc32c(bytes, from)).to.equal(bitwise(bytes.subarray(from)));
      }),
    );
    expect(() => crc32c(Buffer.alloc(3), 0, 4)).to.throw(RangeError);
  });

  it('of values are the CRC-32 of zlib, and their layout does not change', () => {
    expect(crc32('123456789')).to.equal(0xcbf43926);
    expect(frame(Buffer.from('key'), Buffer.from('value')).toString('hex')).to.equal('0148daf40576616c7565');
  });

  it('give the value back, and find every changed bit of it or of its key', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(bytes, fc.uint8Array({ maxLength: 60 }), fc.nat(), (rawKey, rawValue, bit) => {
        const [key, value] = [Buffer.from(rawKey), Buffer.from(rawValue)];
        const framed = frame(key, value);
        expect(unframe(key, framed)).to.deep.equal(value);
        expect(tryUnframe(key, flipped(framed, bit))).to.equal(undefined);
        expect(tryUnframe(flipped(key, bit), framed)).to.equal(undefined);
      }),
    );
  });

  it('find a byte that moved from the key to the value, and what is cut short', () => {
    const framed = frame(Buffer.from('ab'), Buffer.from('c'));
    const moved = Buffer.concat([framed.subarray(0, 5), Buffer.from('bc')]);
    expect(tryUnframe(Buffer.from('a'), moved)).to.equal(undefined);
    for (let length = 0; length < framed.length; length++) {
      expect(() => unframe(Buffer.from('ab'), framed.subarray(0, length)))
        .to.throw(StorageFault)
        .with.property('code', 'storage.damaged');
    }
  });
});

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = Math.floor(bit / 8) % copy.length;
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8));
  return copy;
}
