// Packed columns: integers in frames of 128, each frame with its lowest value and the rest in as few bits as they need
// ("frame of reference"). The layout is in telemetry.proto. One wild value costs its own frame and no other.
import { malformed } from './fault.js';

const FRAME = 128;
const MAX_WIDTH = 53;
/** Of a frame: a varint of up to 8 bytes, the width, and 128 values of 53 bits. */
const MAX_FRAME_BYTES = 8 + 1 + (FRAME * MAX_WIDTH) / 8;
/** As many bits fit 32 together with those that stand before them in their first byte. */
const AT_ONCE = 25;

// Frames are written here, for all writers: finish() cannot be interrupted.
let bytes = new Uint8Array(64 * 1024);
let end = 0;

/** Collects integers that differ by less than 2^53 from one another. */
export class PackedWriter {
  readonly #values: number[] = [];

  add(value: number): void {
    this.#values.push(value);
  }

  /** The column. */
  finish(): Uint8Array {
    end = 0;
    for (let from = 0; from < this.#values.length; from += FRAME) {
      writeFrame(this.#values, from, Math.min(from + FRAME, this.#values.length));
    }
    return Buffer.from(bytes.subarray(0, end));
  }
}

function writeFrame(values: readonly number[], from: number, to: number): void {
  if (end + MAX_FRAME_BYTES > bytes.length) reserve();
  let lowest = values[from] as number;
  let highest = lowest;
  for (let i = from + 1; i < to; i++) {
    const value = values[i] as number;
    if (value < lowest) lowest = value;
    else if (value > highest) highest = value;
  }
  const width = widthOf(highest - lowest);
  writeVarint(lowest >= 0 ? lowest * 2 : -lowest * 2 - 1);
  bytes[end++] = width;
  if (width === 0) return;
  // What did not fill a byte yet.
  let [bits, count] = [0, 0];
  for (let i = from; i < to; i++) {
    let rest = (values[i] as number) - lowest;
    for (let left = width; left > 0; ) {
      const some = Math.min(left, AT_ONCE - 1);
      const low = left > some ? rest % 2 ** some : rest;
      bits |= low << count;
      count += some;
      for (; count >= 8; count -= 8) {
        bytes[end++] = bits & 0xff;
        bits >>>= 8;
      }
      left -= some;
      if (left > 0) rest = (rest - low) / 2 ** some;
    }
  }
  if (count > 0) bytes[end++] = bits;
}

function writeVarint(value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[end++] = (rest % 0x80) | 0x80;
  bytes[end++] = rest;
}

function reserve(): void {
  const larger = new Uint8Array(bytes.length * 2);
  larger.set(bytes.subarray(0, end));
  bytes = larger;
}

/** The `count` integers of a column; `name` is for messages. Throws telemetry.malformed unless it holds exactly these. */
export function unpack(name: string, bytes: Uint8Array, count: number): Float64Array {
  const values = new Float64Array(count);
  unpackInto(name, bytes, values);
  return values;
}

/** As unpack, as many as `values` takes. */
export function unpackInto(name: string, bytes: Uint8Array, values: Float64Array): void {
  const { length } = values;
  let at = 0;
  for (let from = 0; from < length; from += FRAME) {
    const size = Math.min(FRAME, length - from);
    let zigzag = 0;
    for (let factor = 1, more = true; more; factor *= 0x80) {
      const byte = bytes[at++];
      if (byte === undefined || factor > 2 ** 49) throw malformed(`${name} is cut off`);
      zigzag += (byte & 0x7f) * factor;
      more = byte > 0x7f;
    }
    const lowest = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    const width = bytes[at++];
    if (width === undefined || width > MAX_WIDTH) throw malformed(`${name} has a frame without a width`);
    const end = at + Math.ceil((size * width) / 8);
    if (end > bytes.length) throw malformed(`${name} is cut off`);
    if (width > AT_ONCE) unpackWide(values, from, size, lowest, bytes, at, width);
    else unpackNarrow(values, from, size, lowest, bytes, at, width);
    at = end;
  }
  if (at !== bytes.length) throw malformed(`${name} is too long`);
}

/** Most frames: what has been read of the bytes and not been used yet fits 32 bits. */
function unpackNarrow(
  values: Float64Array,
  from: number,
  size: number,
  lowest: number,
  bytes: Uint8Array,
  start: number,
  width: number,
): void {
  const mask = (1 << width) - 1;
  let [bits, count, at] = [0, 0, start];
  for (let i = from; i < from + size; i++) {
    for (; count < width; count += 8) bits |= (bytes[at++] as number) << count;
    values[i] = lowest + (bits & mask);
    bits >>>= width;
    count -= width;
  }
}

function unpackWide(
  values: Float64Array,
  from: number,
  size: number,
  lowest: number,
  bytes: Uint8Array,
  start: number,
  width: number,
): void {
  for (let i = 0; i < size; i++) values[from + i] = lowest + bitsAt(bytes, start * 8 + i * width, width);
}

function bitsAt(bytes: Uint8Array, position: number, width: number): number {
  if (width > AT_ONCE) {
    return bitsAt(bytes, position, AT_ONCE) + bitsAt(bytes, position + AT_ONCE, width - AT_ONCE) * 2 ** AT_ONCE;
  }
  const at = position >>> 3;
  // Beyond the end there are no bytes, and none of their bits is asked for.
  const word =
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24);
  return (word >>> (position & 7)) & ((1 << width) - 1);
}

/** How many bits a number from 0 to `highest` needs. */
const widthOf = (highest: number): number =>
  highest < 2 ** 32 ? 32 - Math.clz32(highest) : 64 - Math.clz32(Math.floor(highest / 2 ** 32));
