// What the log keeps in its store: keys, and values as bytes. All numbers are big-endian; every value begins with the
// version of its own layout. Checksums are the store's business.
//
//   'M'                              version 1 · machine id (16)
//   'F' log (16) flush (u64)         version 2 · chain after it (16) · durable at, ms since 1970 (u48) ·
//                                    number of readings (u32) · of values (u32) · Columns of this flush alone
//   'G' log (16) first (u64) count (u64)   version 1 · telemetry.v1.Signed of a Gap that the cloud has not acknowledged
//   'L' log (16)                     version 1 · flags (u8; 1: cut, nothing at `next` or above belongs to it) ·
//                                    next flush (u64) · chain after next-1 (16) · settled at (u48; 0: not yet) ·
//                                    number of acked ranges (u32) · of ranges in acknowledged gaps (u32) ·
//                                    those ranges, each first (u64), count (u64)
//
// 'F' is written once and never changed. 'L' is written when something was acknowledged, not with every flush: the end
// of a log is the highest that 'L', its flushes, or the mark file (mark-file.ts) know of. Losing an 'L' costs
// repetition, never data.
import { Columns, Signed } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { type EpochMs, epochMs } from '../kernel/duration.js';
import { concat, rangeOf, readU64be, u64be } from '../storage/keys.js';
import type { Entry, Range } from '../storage/store.js';
import { decodeColumns } from '../telemetry/columns-decode.js';
import { RangeSet } from '../telemetry/ranges.js';
import type { Reading } from '../telemetry/reading.js';
import { WalFault } from './fault.js';

const VERSION = 1;
const FLUSH_VERSION = 2;
const CUT = 1;
const FLUSH_HEADER = 1 + 16 + 6 + 4 + 4;
const LOG_HEADER = 1 + 1 + 8 + 16 + 6 + 4 + 4;
const NO_CHAIN = Buffer.alloc(16);

export const MACHINE_KEY: Buffer = Buffer.from('M');
export const flushKey = (log: Uint8Array, flush: number): Buffer => concat('F', log, u64be(flush));
export const gapKey = (log: Uint8Array, first: number, count: number): Buffer =>
  concat('G', log, u64be(first), u64be(count));
export const logKey = (log: Uint8Array): Buffer => concat('L', log);

export const ALL_FLUSHES: Range = rangeOf(Buffer.from('F'));
export const ALL_GAPS: Range = rangeOf(Buffer.from('G'));
export const ALL_LOGS: Range = rangeOf(Buffer.from('L'));

/** The log that a key of 'F', 'G' or 'L' is about. */
export const logOfKey = (key: Buffer): Buffer => key.subarray(1, 17);

/** A flush as it lies in the store; `columns` stay encoded until somebody asks. */
export interface FlushRecord {
  readonly log: Buffer;
  readonly number: number;
  /** Digest of the log after it, 16 bytes. */
  readonly chain: Buffer;
  readonly durableAt: EpochMs;
  readonly readingCount: number;
  /** Of all its readings together. */
  readonly valueCount: number;
  /** Bytes that it takes in the store. */
  readonly size: number;
  readonly columns: Uint8Array;
}

export interface LogRecord {
  readonly next: number;
  /** Undefined when the flush before `next` was lost. */
  readonly chain: Buffer | undefined;
  readonly cut: boolean;
  readonly settledAt: EpochMs | undefined;
  readonly acked: RangeSet;
  readonly gone: RangeSet;
}

export function encodeMachine(machineId: Uint8Array): Buffer {
  return concat(VERSION, machineId);
}

export function decodeMachine(value: Buffer): Buffer {
  return checked(value).subarray(1);
}

export type FlushParts = Pick<FlushRecord, 'chain' | 'durableAt' | 'readingCount' | 'valueCount' | 'columns'>;

export function encodeFlush(parts: FlushParts): Buffer {
  const header = Buffer.alloc(FLUSH_HEADER);
  header[0] = FLUSH_VERSION;
  header.set(parts.chain, 1);
  header.writeUIntBE(Math.max(0, parts.durableAt), 17, 6);
  header.writeUInt32BE(parts.readingCount, 23);
  header.writeUInt32BE(parts.valueCount, 27);
  return Buffer.concat([header, parts.columns]);
}

export function decodeFlush({ key, value }: Entry): FlushRecord {
  checked(value, FLUSH_VERSION);
  return {
    log: logOfKey(key),
    number: readU64be(key, 17),
    chain: value.subarray(1, 17),
    durableAt: epochMs(value.readUIntBE(17, 6)),
    readingCount: value.readUInt32BE(23),
    valueCount: value.readUInt32BE(27),
    size: value.length,
    columns: value.subarray(FLUSH_HEADER),
  };
}

/** The readings of a flush, in canonical order. Throws telemetry.malformed. */
export function readingsOf({ number, readingCount, valueCount, columns }: FlushRecord): readonly Reading[] {
  const bounds = { firstFlush: number, flushCount: 1, readingCount, valueCount };
  return decodeColumns(Columns.decode(columns), bounds)[0]?.readings ?? [];
}

export function encodeGap(signed: Signed): Buffer {
  return concat(VERSION, Signed.encode(signed).finish());
}

export function decodeGap(value: Buffer): Signed {
  return Signed.decode(checked(value).subarray(1));
}

export function encodeLog(record: LogRecord): Buffer {
  const [acked, gone] = [record.acked.toProto(), record.gone.toProto()];
  const header = Buffer.alloc(LOG_HEADER);
  header[0] = VERSION;
  header[1] = record.cut ? CUT : 0;
  header.set(u64be(record.next), 2);
  header.set(record.chain ?? NO_CHAIN, 10);
  header.writeUIntBE(record.settledAt ?? 0, 26, 6);
  header.writeUInt32BE(acked.length, 32);
  header.writeUInt32BE(gone.length, 36);
  return concat(header, ...[...acked, ...gone].flatMap(({ first, count }) => [u64be(first), u64be(count)]));
}

export function decodeLog(value: Buffer): LogRecord {
  checked(value);
  const [ackedCount, goneCount] = [value.readUInt32BE(32), value.readUInt32BE(36)];
  const ranges = (from: number, count: number) =>
    RangeSet.from(
      Array.from({ length: count }, (_, i) => {
        const at = LOG_HEADER + 16 * (from + i);
        return { first: readU64be(value, at), count: readU64be(value, at + 8) };
      }),
    );
  const settledAt = value.readUIntBE(26, 6);
  const chain = value.subarray(10, 26);
  return {
    next: readU64be(value, 2),
    chain: chain.equals(NO_CHAIN) ? undefined : Buffer.from(chain),
    cut: ((value[1] ?? 0) & CUT) !== 0,
    settledAt: settledAt === 0 ? undefined : epochMs(settledAt),
    acked: ranges(0, ackedCount),
    gone: ranges(ackedCount, goneCount),
  };
}

function checked(value: Buffer, version = VERSION): Buffer {
  if (value[0] === version) return value;
  throw new WalFault('wal.newer', `the log holds a record of unknown version ${value[0]}`, {
    permanent: true,
    advice: 'Run the version of the program that wrote it, or a later one.',
  });
}
