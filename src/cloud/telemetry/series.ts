// Series blocks: the readings of one sensor in a range of flushes, as the store keeps what has been merged.
import { type LedgerEntry, SeriesBlock } from '../../../gen/occmesh/store/v1/store.js';
import { Columns } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { openColumns, packColumns, valuesOf } from '../../telemetry/batch.js';
import { type PlacedInBatch, ReadingTable } from '../../telemetry/columns-decode.js';
import { encodeOrdered } from '../../telemetry/columns-encode.js';
import type { ColumnsLimits } from '../../telemetry/columns-read.js';
import { PackedWriter, unpack } from '../../telemetry/packed.js';

/** What a range may hold: so much is unfolded at a time. */
export const RANGE_LIMITS: ColumnsLimits = { flushes: 2 ** 17, readings: 2 ** 17, values: 2 ** 19 };

/** A range of flushes from number `first` on. */
interface Range {
  readonly first: number;
  readonly count: number;
}

/** A serialised SeriesBlock of the readings of one sensor, at least one, in the order of the log. */
export function packSeries(readings: readonly PlacedInBatch[], range: Range, entry?: LedgerEntry): Uint8Array {
  const flushes = Uint32Array.from(readings, ({ flush }) => flush - range.first);
  const ofOne = readings.map(({ reading }) => reading);
  const columns = Columns.encode(encodeOrdered({ readings: ofOne, flushes }, range.count)).finish();
  return SeriesBlock.encode({
    flushCount: range.count,
    readingCount: ofOne.length,
    valueCount: valuesOf(ofOne),
    ...packColumns(columns, ofOne.length),
    lower: packLower(readings),
    entry,
  }).finish();
}

/** Throws telemetry.malformed. */
export function openSeries(block: SeriesBlock, firstFlush: number): ReadingTable {
  const lower = () => unpack('lower', block.lower, block.readingCount);
  // It was made of readings that had been checked.
  return new ReadingTable(openColumns(block), { ...block, firstFlush }, { limits: RANGE_LIMITS, checked: true, lower });
}

function packLower(readings: readonly PlacedInBatch[]): Uint8Array {
  const lower = new PackedWriter();
  let flush = -1;
  let first = 0;
  for (const reading of readings) {
    if (reading.flush !== flush) ({ flush, position: first } = reading);
    lower.add(first);
  }
  return lower.finish();
}
