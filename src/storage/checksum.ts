// How a value is kept: one version byte, a CRC-32 (big-endian), the value itself. The checksum also covers the key, so
// that a value that turns up under another key is noticed. Changed bits are found; malice is not: that is what
// signatures are for.
//
// Two polynomials live here. Values use CRC-32 (IEEE 802.3, as in zlib), because Node computes it natively since 20.15;
// LevelDB's own files use CRC-32C (Castagnoli, RFC 3720 appendix B.4), which Node does not have.
import { crc32 } from 'node:zlib';
import { StorageFault } from './store.js';

const VERSION = 1;
const HEADER_BYTES = 5;

/** The value as it is stored under `key`. */
export function frame(key: Uint8Array, value: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(HEADER_BYTES + value.length);
  framed[0] = VERSION;
  framed.writeUInt32BE(checksum(key, value), 1);
  framed.set(value, HEADER_BYTES);
  return framed;
}

/** The value out of what is stored under `key`, not copied; undefined when it is not what was written there. */
export function tryUnframe(key: Uint8Array, framed: Buffer): Buffer | undefined {
  if (framed.length < HEADER_BYTES || framed[0] !== VERSION) return undefined;
  const value = framed.subarray(HEADER_BYTES);
  return framed.readUInt32BE(1) === checksum(key, value) ? value : undefined;
}

/** As tryUnframe. Faults: storage.damaged. */
export function unframe(key: Uint8Array, framed: Buffer): Buffer {
  const value = tryUnframe(key, framed);
  if (value) return value;
  const name = Buffer.from(key).toString('hex');
  throw new StorageFault('storage.damaged', `the entry ${name} is not what was written`, { permanent: true });
}

/** The key's length goes in as well: otherwise a byte could move from the key to the value unnoticed. */
const checksum = (key: Uint8Array, value: Uint8Array): number => crc32(value, crc32(key, key.length));

const CASTAGNOLI = 0x82f63b78;

/** Eight tables of 256: table k says what a byte does to the checksum when k more bytes follow ("slicing by 8"). */
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1;
    tables[byte] = crc;
  }
  const at = (index: number): number => tables[index] ?? 0;
  for (let i = 256; i < tables.length; i++) tables[i] = (at(i - 256) >>> 8) ^ at(at(i - 256) & 0xff);
  return tables;
}

/** CRC-32C of bytes[start…end), as an unsigned number. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  if (start < 0 || end > bytes.length) throw new RangeError('the range lies outside the bytes');
  // All indexes below are in range by construction; the casts keep checks out of the only hot loop of this folder.
  const table = (index: number): number => TABLES[index] as number;
  const byte = (index: number): number => bytes[index] as number;
  let crc = -1;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    crc ^= byte(i) | (byte(i + 1) << 8) | (byte(i + 2) << 16) | (byte(i + 3) << 24);
    crc =
      table(1792 + (crc & 0xff)) ^
      table(1536 + ((crc >>> 8) & 0xff)) ^
      table(1280 + ((crc >>> 16) & 0xff)) ^
      table(1024 + (crc >>> 24)) ^
      table(768 + byte(i + 4)) ^
      table(512 + byte(i + 5)) ^
      table(256 + byte(i + 6)) ^
      table(byte(i + 7));
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ table((crc ^ byte(i)) & 0xff);
  return ~crc >>> 0;
}
