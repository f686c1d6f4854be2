// Building keys whose byte order is the order of what they stand for, and reading them back.
import { view } from '../kernel/bytes.js';
import type { Range } from './store.js';

/** An unsigned 64-bit number, big-endian. Throws RangeError outside 0…2^53-1. */
export function u64be(n: number): Buffer {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`${n} does not fit a key`);
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(Math.floor(n / 2 ** 32), 0);
  bytes.writeUInt32BE(n % 2 ** 32, 4);
  return bytes;
}

/** An unsigned 32-bit number, big-endian. Throws RangeError outside 0…2^32-1. */
export function u32be(n: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
}

/** Reads what u64be wrote at `offset`. Throws RangeError beyond 2^53-1 or the end. */
export function readU64be(bytes: Uint8Array, offset = 0): number {
  const buffer = view(bytes);
  const n = buffer.readUInt32BE(offset) * 2 ** 32 + buffer.readUInt32BE(offset + 4);
  if (!Number.isSafeInteger(n)) throw new RangeError('a number in a key is beyond 2^53-1');
  return n;
}

/** Reads what u32be wrote at `offset`. */
export function readU32be(bytes: Uint8Array, offset = 0): number {
  return view(bytes).readUInt32BE(offset);
}

/** The parts one after another; text as UTF-8, a number as one byte. */
export function concat(...parts: readonly (Uint8Array | string | number)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : typeof part === 'number' ? u8(part) : part)),
  );
}

/** All keys that begin with `prefix`. Throws RangeError for one without an end (empty, or nothing but 0xff). */
export function rangeOf(prefix: Uint8Array): Range & { readonly from: Buffer; readonly until: Buffer } {
  return { from: Buffer.from(prefix), until: successor(prefix) };
}

/** The first key after all that begin with `prefix`. */
export function successor(prefix: Uint8Array): Buffer {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) throw new RangeError('no key comes after this prefix');
  const until = Buffer.from(prefix.subarray(0, length));
  until[length - 1] = (until[length - 1] ?? 0) + 1;
  return until;
}

function u8(n: number): Buffer {
  if (!Number.isInteger(n) || n < 0 || n > 255) throw new RangeError(`${n} is not a byte`);
  return Buffer.of(n);
}
