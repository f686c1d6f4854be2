// The running digest of a log: chain(-1) = the log's id, chain(n) = the first 16 bytes of
// SHA-256(chain(n-1), SHA-256(canonical form of flush n)).
//
// Canonical form of a flush: its readings in canonical order, one after another, all numbers little-endian:
//   sensor u32 · taken at i64 (ms since 1970) · state u8 · message text · number of values u16
//   then per value: name text · unit text · value f64
// where a text is its length in bytes as u16, then UTF-8. It depends on nothing but the readings, so that the digest
// stays the same whatever becomes of Columns.
import { hash } from 'node:crypto';
import { canonicalOrder, type Reading } from './reading.js';

const CHAIN_BYTES = 16;
const FIRST_BYTES = 64 * 1024;
/** A larger buffer is given back after use. */
const KEEP_BYTES = 1024 * 1024;
/** Up to here a loop beats the call into native code. */
const SHORT_TEXT = 48;

/** SHA-256 of the canonical form of a flush: 32 bytes. The readings may come in any order of sensors. */
export function flushDigest(readings: readonly Reading[]): Buffer {
  const digest = hash('sha256', canonicalForm(readings), 'buffer');
  if (bytes.length > KEEP_BYTES) reserve(FIRST_BYTES);
  return digest;
}

/** The digest of a log that has no flush yet: the log's own id, 16 bytes. */
export function chainStart(log: Uint8Array): Buffer {
  return Buffer.from(log);
}

/** The digest after one more flush, 16 bytes. */
export function chainNext(previous: Uint8Array, readings: readonly Reading[]): Buffer {
  const both = Buffer.concat([previous, flushDigest(readings)]);
  return hash('sha256', both, 'buffer').subarray(0, CHAIN_BYTES);
}

// One buffer for all calls; none of them can be interrupted by another.
let bytes = Buffer.alloc(0);
let view = new DataView(bytes.buffer);
let end = 0;

function reserve(size: number): void {
  const larger = Buffer.allocUnsafeSlow(size);
  bytes.copy(larger, 0, 0, end);
  bytes = larger;
  view = new DataView(larger.buffer);
}

function ensure(size: number): void {
  if (end + size > bytes.length) reserve(Math.max(FIRST_BYTES, bytes.length * 2, end + size));
}

/** Valid until the next call. */
function canonicalForm(readings: readonly Reading[]): Buffer {
  end = 0;
  for (const { sensor, takenAt, state, message, values } of canonicalOrder(readings)) {
    ensure(15);
    view.setUint32(end, sensor, true);
    // Two's complement of a 53-bit integer: the low half by ToUint32, the high half rounded towards minus infinity.
    view.setUint32(end + 4, takenAt >>> 0, true);
    view.setInt32(end + 8, Math.floor(takenAt / 2 ** 32), true);
    view.setUint8(end + 12, state);
    end += 13;
    text(message);
    ensure(2);
    view.setUint16(end, values.length, true);
    end += 2;
    for (const { name, unit, value } of values) {
      text(name);
      text(unit);
      ensure(8);
      view.setFloat64(end, value, true);
      end += 8;
    }
  }
  return bytes.subarray(0, end);
}

function text(value: string): void {
  ensure(2 + value.length * 3);
  const from = end + 2;
  const size = ascii(value, from) ? value.length : bytes.write(value, from, 'utf8');
  view.setUint16(end, size, true);
  end = from + size;
}

/** Writes a short text of ASCII; false when it is not one. */
function ascii(value: string, from: number): boolean {
  if (value.length > SHORT_TEXT) return false;
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if (unit > 0x7f) return false;
    bytes[from + i] = unit;
  }
  return true;
}
