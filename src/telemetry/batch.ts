// Batches as they are signed, stored and sent: a header in clear around Columns, which may be compressed. Signing is not
// done here.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { Batch, Columns } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { type PlacedInBatch, ReadingTable } from './columns-decode.js';
import { encodeColumns } from './columns-encode.js';
import { malformed, TelemetryFault } from './fault.js';
import { type Flush, MAX_FLUSHES, MAX_READINGS, MAX_VALUES, type Reading } from './reading.js';

export const MAX_COLUMNS_BYTES = 256 * 1024;
const ID_BYTES = 16;
/**
 * Packed integers cannot be compressed any further; texts and doubles can. So it is only tried where there is more than
 * this, in all and for a reading, and kept only if at least one byte in eight is saved: every reader pays for it.
 */
const COMPRESS_FROM_BYTES = 512;
const COMPRESS_FROM_BYTES_PER_READING = 6;
const WORTH_ONE_IN = 8;

/** What a batch says besides its readings. */
export interface BatchHead {
  /** The log, 16 bytes. */
  readonly log: Uint8Array;
  readonly firstFlush: number;
  /** Running digest after the last of the flushes, 16 bytes. */
  readonly chain: Uint8Array;
}

/** A flush as packFlush() takes it. */
export interface EncodedFlush {
  readonly readingCount: number;
  readonly valueCount: number;
  /** As of encodeFlushes(). */
  readonly columns: Uint8Array;
}

/** Serialised Columns of contiguous flushes whose readings checkReading accepts. */
export function encodeFlushes(flushes: readonly Flush[], firstFlush: number): Uint8Array {
  return Columns.encode(encodeColumns(flushes, firstFlush)).finish();
}

/**
 * A serialised Batch of flushes that are numbered from firstFlush without holes and have 1 to 4,096 readings together.
 * Throws TelemetryFault telemetry.too-large when they pass a limit of the format (seal fewer of them), telemetry.invalid
 * when they make no batch.
 */
export function packBatch(head: BatchHead, flushes: readonly Flush[]): Uint8Array {
  let [readingCount, valueCount] = [0, 0];
  for (const [i, flush] of flushes.entries()) {
    if (flush.number !== head.firstFlush + i) throw invalid('the numbers of its flushes');
    readingCount += flush.readings.length;
    valueCount += valuesOf(flush.readings);
  }
  // Before the work, not after it.
  checkCounts(flushes.length, readingCount, valueCount);
  return pack(head, flushes.length, { readingCount, valueCount, columns: encodeFlushes(flushes, head.firstFlush) });
}

/** As packBatch, of one flush that has been encoded before. */
export function packFlush(head: BatchHead, flush: EncodedFlush): Uint8Array {
  checkCounts(1, flush.readingCount, flush.valueCount);
  return pack(head, 1, flush);
}

export function valuesOf(readings: readonly Reading[]): number {
  let count = 0;
  for (const { values } of readings) count += values.length;
  return count;
}

function pack(head: BatchHead, flushCount: number, { readingCount, valueCount, columns }: EncodedFlush): Uint8Array {
  const { log, firstFlush, chain } = head;
  if (log.length !== ID_BYTES || chain.length !== ID_BYTES) throw invalid('its ids');
  if (columns.length > MAX_COLUMNS_BYTES) throw tooLarge(`its columns take ${columns.length} bytes`);
  return Batch.encode({
    log,
    firstFlush,
    flushCount,
    chain,
    readingCount,
    valueCount,
    ...packColumns(columns, readingCount),
  }).finish();
}

/** Serialised Columns as they are stored and sent: compressed where that pays. */
export interface PackedColumns {
  /** 0: not compressed. */
  readonly inflatedSize: number;
  readonly columns: Uint8Array;
}

export function packColumns(plain: Uint8Array, readingCount: number): PackedColumns {
  const packed = compress(plain, readingCount);
  return packed ? { inflatedSize: plain.length, columns: packed } : { inflatedSize: 0, columns: plain };
}

/** The header of a serialised Batch, checked; its columns are not looked at. Throws telemetry.malformed. */
export function openBatchHeader(content: Uint8Array): Batch {
  const header = parse('a batch', () => Batch.decode(content));
  const { log, firstFlush, flushCount, chain, readingCount, valueCount, inflatedSize, columns } = header;
  if (log.length !== ID_BYTES) throw malformed('log');
  if (chain.length !== ID_BYTES) throw malformed('chain');
  if (flushCount < 1 || flushCount > MAX_FLUSHES) throw malformed('flush_count');
  if (!Number.isSafeInteger(firstFlush + flushCount)) throw malformed('first_flush');
  if (readingCount < 1 || readingCount > MAX_READINGS) throw malformed('reading_count');
  if (valueCount > MAX_VALUES) throw malformed('value_count');
  if (inflatedSize > MAX_COLUMNS_BYTES) throw malformed('inflated_size');
  if (columns.length < 1 || columns.length > MAX_COLUMNS_BYTES) throw malformed('columns');
  return header;
}

/** A received batch. Opening it checks the header only; the columns are read once, when first asked for. */
export class OpenBatch {
  #table: ReadingTable | undefined;

  /** `header` as openBatchHeader returns it. */
  constructor(readonly header: Batch) {}

  /** The readings as checked flat arrays. Throws telemetry.malformed, as do the methods that follow. */
  table(): ReadingTable {
    this.#table ??= new ReadingTable(openColumns(this.header), this.header);
    return this.#table;
  }

  /** All flushes of the range in order, also those without a reading. */
  flushes(): Flush[] {
    return this.table().flushes();
  }

  /** The last reading of each sensor in the order of the log. */
  latest(): PlacedInBatch[] {
    return this.table().latest();
  }
}

/** Opens a serialised Batch. Throws telemetry.malformed. The result refers to `content`, which must not change. */
export function unpackBatch(content: Uint8Array): OpenBatch {
  return new OpenBatch(openBatchHeader(content));
}

function checkCounts(flushes: number, readings: number, values: number): void {
  if (readings === 0) throw invalid('it has no readings');
  if (readings > MAX_READINGS) throw tooLarge(`it has ${readings} readings`);
  if (values > MAX_VALUES) throw tooLarge(`it has ${values} values`);
  if (flushes > MAX_FLUSHES) throw tooLarge(`it has ${flushes} flushes`);
}

/** Undefined when it does not pay. */
function compress(plain: Uint8Array, readingCount: number): Uint8Array | undefined {
  if (plain.length <= Math.max(COMPRESS_FROM_BYTES, readingCount * COMPRESS_FROM_BYTES_PER_READING)) return undefined;
  const packed = deflateRawSync(plain);
  return packed.length <= plain.length - plain.length / WORTH_ONE_IN ? packed : undefined;
}

/** Throws telemetry.malformed. */
export function openColumns({ inflatedSize, columns }: PackedColumns): Columns {
  if (inflatedSize === 0) return parse('columns', () => Columns.decode(columns));
  const plain = parse('compressed columns', () => inflateRawSync(columns, { maxOutputLength: inflatedSize }));
  if (plain.length !== inflatedSize) throw malformed('inflated_size');
  return parse('columns', () => Columns.decode(plain));
}

/** Libraries throw errors of their own for bytes that do not parse. */
function parse<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (thrown) {
    throw malformed(`${what} cannot be read`, thrown);
  }
}

function invalid(what: string): TelemetryFault {
  return new TelemetryFault('telemetry.invalid', `invalid batch: ${what}`, { permanent: true });
}

function tooLarge(what: string): TelemetryFault {
  return new TelemetryFault('telemetry.too-large', `the batch is too large: ${what}`, {
    advice: 'Seal fewer flushes at a time.',
  });
}
