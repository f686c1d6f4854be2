import { createHash } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { epochMs } from '../../../src/kernel/duration.js';
import { chainNext, chainStart, flushDigest } from '../../../src/telemetry/chain.js';
import { canonicalOrder, type Reading } from '../../../src/telemetry/reading.js';
import { anyReadings, runs } from './arbitraries.js';

const log = Buffer.from('0190163d8694739bab1ea8e2d3c5f001', 'hex');
const reading: Reading = {
  sensor: 7,
  takenAt: epochMs(1_767_225_600_123),
  state: 2,
  message: 'wärm',
  values: [{ name: 'temp', unit: 'Cel', value: 71.5 }],
};

/** The canonical form, written the slow and obvious way from its description. */
function plainForm(readings: readonly Reading[]): Buffer {
  const bytes = (size: number, write: (into: Buffer) => void) => {
    const into = Buffer.alloc(size);
    write(into);
    return into;
  };
  const u16 = (n: number) => bytes(2, (into) => into.writeUInt16LE(n));
  const text = (it: string) => Buffer.concat([u16(Buffer.byteLength(it)), Buffer.from(it)]);
  return Buffer.concat(
    canonicalOrder(readings).flatMap(({ sensor, takenAt, state, message, values }) => [
      bytes(4, (into) => into.writeUInt32LE(sensor)),
      bytes(8, (into) => into.writeBigInt64LE(BigInt(takenAt))),
      Buffer.of(state),
      text(message),
      u16(values.length),
      ...values.flatMap(({ name, unit, value }) => [
        text(name),
        text(unit),
        bytes(8, (into) => into.writeDoubleLE(value)),
      ]),
    ]),
  );
}

const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();

describe('flushDigest', () => {
  it('is SHA-256 of the canonical form', () => {
    fc.assert(
      fc.property(anyReadings(30), (readings) => {
        expect(flushDigest(readings).equals(sha256(plainForm(readings)))).to.equal(true);
      }),
      runs(200),
    );
  });

  it('never changes: a known answer', () => {
    expect(plainForm([reading]).toString('hex')).to.equal(
      '070000007ba8da769b0100000205' + '0077c3a4726d0100' + '040074656d70' + '030043656c' + '0000000000e05140',
    );
    expect(flushDigest([reading]).toString('hex')).to.equal(
      'ac98de6ad6597aa619cb9fdb9fc10923f89c4789763ae6c9706798dce8b95b0c',
    );
  });

  it('does not depend on the order of sensors, and does on everything else', () => {
    const other = { ...reading, sensor: 3, message: 'other' };
    const digest = flushDigest([reading, other]).toString('hex');
    expect(flushDigest([other, reading]).toString('hex')).to.equal(digest);
    const value = { name: 'temp', unit: 'Cel', value: 0 };
    const different: Reading[][] = [
      [reading],
      [{ ...reading, sensor: 8 }],
      [{ ...reading, takenAt: epochMs(reading.takenAt + 1) }],
      [{ ...reading, takenAt: epochMs(reading.takenAt + 2 ** 32) }],
      [{ ...reading, state: 3 }],
      [{ ...reading, message: '' }],
      [{ ...reading, values: [] }],
      [{ ...reading, values: [value] }],
      [{ ...reading, values: [{ ...value, value: -0 }] }],
      [{ ...reading, values: [{ ...value, name: 'tem', unit: 'pCel' }] }],
      [reading, { ...reading, message: 'second' }],
      [{ ...reading, message: 'second' }, reading],
      [],
    ];
    const digests = different.map((readings) => flushDigest(readings).toString('hex'));
    expect(new Set(digests).size).to.equal(different.length);
  });

  it('takes flushes larger than its buffer, and small ones afterwards', () => {
    const large = Array.from({ length: 3000 }, (_, sensor) => ({ ...reading, sensor, message: 'ö'.repeat(500) }));
    for (const readings of [large, [reading], large.slice(0, 100), []]) {
      expect(flushDigest(readings).equals(sha256(plainForm(readings)))).to.equal(true);
    }
  });
});

describe('the chain', () => {
  it('begins with the id of the log, as a copy', () => {
    const id = Buffer.from(log);
    const start = chainStart(id);
    id.fill(0);
    expect(start.equals(log)).to.equal(true);
  });

  it('goes on with 16 bytes over the digest before and the flush', () => {
    const first = chainNext(chainStart(log), [reading]);
    expect(first.equals(sha256(log, sha256(plainForm([reading]))).subarray(0, 16))).to.equal(true);
    expect(first.toString('hex')).to.equal('144c808149fc3d004d4a97ff4f8a2a3a');
    expect(chainNext(first, [reading]).equals(first)).to.equal(false);
    expect(chainNext(first, [])).to.have.length(16);
  });
});
