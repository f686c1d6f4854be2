// Batches as they are signed, stored and sent: a header in clear around Columns, which may be compressed. Signing is not
// done here.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { Batch, Columns, Compression } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { ReadingTable } from './columns-decode.js';
import { encodeColumns } from './columns-encode.js';
import { malformed, TelemetryFault } from './fault.js';
import { type Flush, MAX_FLUSHES, MAX_READINGS, type Reading } from './reading.js';

/** More than the largest single reading takes: a flush is never split. */
export const MAX_COLUMNS_BYTES: number = 256 * 1024;
const ID_BYTES = 16;
/** Below, the tables of DEFLATE eat up what it saves. */
const COMPRESS_FROM_BYTES = 256;
/** Compressed only if at least one byte in this many is saved: otherwise every reader would pay for nothing. */
const WORTH_ONE_IN = 8;

export interface BatchParts {
  /** The hub, 16 bytes. */
  readonly machineId: Uint8Array;
  /** The log, 16 bytes. */
  readonly log: Uint8Array;
  readonly firstFlush: number;
  /** Numbered from firstFlush without holes; together 1 to 4,096 readings that checkReading accepts. */
  readonly flushes: readonly Flush[];
  /** Running digest after the last of the flushes, 16 bytes. */
  readonly chain: Uint8Array;
}

/**
 * A serialised Batch. Throws TelemetryFault telemetry.too-large when the flushes pass a limit of the format (seal
 * fewer of them), telemetry.invalid when the parts do not make a batch.
 */
export function packBatch(parts: BatchParts): Uint8Array {
  const { machineId, log, firstFlush, flushes, chain } = parts;
  const readingCount = checkParts(parts);
  const plain = Columns.encode(encodeColumns(flushes, firstFlush)).finish();
  if (plain.length > MAX_COLUMNS_BYTES) throw tooLarge(`its columns take ${plain.length} bytes`);
  const packed = compress(plain);
  return Batch.encode({
    machineId,
    log,
    firstFlush,
    flushCount: flushes.length,
    chain,
    readingCount,
    compression: packed ? Compression.DEFLATE : Compression.NONE,
    columnsSize: plain.length,
    columns: packed ?? plain,
  }).finish();
}

/** The header of a serialised Batch, checked; its columns are not looked at. Throws telemetry.malformed. */
export function openBatchHeader(content: Uint8Array): Batch {
  const header = parse('a batch', () => Batch.decode(content));
  const { machineId, log, firstFlush, flushCount, chain, readingCount, compression, columnsSize, columns } = header;
  if (machineId.length !== ID_BYTES) throw malformed('machine_id');
  if (log.length !== ID_BYTES) throw malformed('log');
  if (chain.length !== ID_BYTES) throw malformed('chain');
  if (flushCount < 1 || flushCount > MAX_FLUSHES) throw malformed('flush_count');
  if (!Number.isSafeInteger(firstFlush + flushCount)) throw malformed('first_flush');
  if (readingCount < 1 || readingCount > MAX_READINGS) throw malformed('reading_count');
  if (columnsSize < 1 || columnsSize > MAX_COLUMNS_BYTES) throw malformed('columns_size');
  if (compression !== Compression.NONE && compression !== Compression.DEFLATE) throw malformed('compression');
  if (compression === Compression.NONE && columns.length !== columnsSize) throw malformed('columns');
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
  latest(): Reading[] {
    return this.table().latest();
  }
}

/** Opens a serialised Batch. Throws telemetry.malformed. The result refers to `content`, which must not change. */
export function unpackBatch(content: Uint8Array): OpenBatch {
  return new OpenBatch(openBatchHeader(content));
}

function checkParts({ machineId, log, firstFlush, flushes, chain }: BatchParts): number {
  if (machineId.length !== ID_BYTES || log.length !== ID_BYTES || chain.length !== ID_BYTES) throw invalid('its ids');
  let readingCount = 0;
  for (const [i, flush] of flushes.entries()) {
    if (flush.number !== firstFlush + i) throw invalid('the numbers of its flushes');
    readingCount += flush.readings.length;
  }
  if (readingCount === 0) throw invalid('it has no readings');
  if (readingCount > MAX_READINGS) throw tooLarge(`it has ${readingCount} readings`);
  if (flushes.length > MAX_FLUSHES) throw tooLarge(`it has ${flushes.length} flushes`);
  return readingCount;
}

/** Undefined when it does not pay. */
function compress(plain: Uint8Array): Uint8Array | undefined {
  if (plain.length <= COMPRESS_FROM_BYTES) return undefined;
  const packed = deflateRawSync(plain);
  return packed.length <= plain.length - plain.length / WORTH_ONE_IN ? packed : undefined;
}

function openColumns({ compression, columnsSize, columns }: Batch): Columns {
  if (compression === Compression.NONE) return parse('columns', () => Columns.decode(columns));
  const plain = parse('compressed columns', () => inflateRawSync(columns, { maxOutputLength: columnsSize }));
  if (plain.length !== columnsSize) throw malformed('columns_size');
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
