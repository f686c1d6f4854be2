// LevelDB's tables:
//
//   data blocks, filter, metaindex, index, each: contents, type(1), crc(4) over both; then a footer of 48 bytes: where
//   metaindex and index are, padding, a magic number.
//   A block holds entries: length of what the key shares with the one before, length of the rest of the key, length of
//   the value, rest of the key, value; then the places of the entries that share nothing ("restarts"), and their count.
//   A key in a data block ends with type(1) and sequence(7) of its operation.
import { Cursor, FormatError, maskedCrc } from './level-format.js';

const FOOTER = 48;
const BLOCK_TRAILER = 5;
const KEY_TRAILER = 8;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');

interface Handle {
  readonly offset: number;
  readonly size: number;
}

/** What is wrong with a table; undefined when every block is as it was written. */
export function tableDamage(table: Buffer): string | undefined {
  try {
    const { data, filters } = layout(table);
    for (const handle of [...data, ...filters]) checkedBlock(table, handle);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

export interface TableEntry {
  readonly key: Buffer;
  /** Undefined for a deletion. */
  readonly value: Buffer | undefined;
  readonly sequence: number;
}

/** Whatever can be read of a table, damaged or not; undefined stands for a stretch that cannot. */
export function* tableEntries(table: Buffer): Generator<TableEntry | undefined> {
  let data: Handle[];
  try {
    data = layout(table).data;
  } catch {
    yield undefined;
    return;
  }
  for (const { offset, size } of data) {
    const block = table.subarray(offset, offset + size);
    for (const stretch of stretches(block)) {
      try {
        for (const { key, value } of entriesOf(stretch)) yield dataEntry(key, value);
      } catch {
        yield undefined;
      }
    }
  }
}

function dataEntry(internal: Buffer, value: Buffer): TableEntry {
  const at = internal.length - KEY_TRAILER;
  const type = internal[at];
  if (at < 0 || type === undefined || type > 1) throw new FormatError('not a key of a data block');
  const sequence = internal.readUIntLE(at + 1, 4) + internal.readUIntLE(at + 5, 3) * 2 ** 32;
  return { key: internal.subarray(0, at), value: type === 1 ? value : undefined, sequence };
}

function layout(table: Buffer): { readonly data: Handle[]; readonly filters: Handle[] } {
  if (table.length < FOOTER || !table.subarray(-MAGIC.length).equals(MAGIC)) throw new FormatError('bad footer');
  const footer = new Cursor(table.subarray(-FOOTER));
  const metaindex = readHandle(footer);
  const index = readHandle(footer);
  // The footer has no checksum of its own, but its parts have fixed places: metaindex, index, footer.
  if (metaindex.offset + metaindex.size + BLOCK_TRAILER !== index.offset) throw new FormatError('bad footer');
  if (index.offset + index.size + BLOCK_TRAILER + FOOTER !== table.length) throw new FormatError('bad footer');
  return { data: handlesIn(checkedBlock(table, index)), filters: handlesIn(checkedBlock(table, metaindex)) };
}

function checkedBlock(table: Buffer, { offset, size }: Handle): Buffer {
  const end = offset + size + BLOCK_TRAILER;
  if (end > table.length) throw new FormatError(`the block at ${offset} ends beyond the table`);
  if (maskedCrc(table, offset, end - 4) !== table.readUInt32LE(end - 4)) {
    throw new FormatError(`the checksum of the block at ${offset} is wrong`);
  }
  if (table[end - BLOCK_TRAILER] !== 0) throw new FormatError(`the block at ${offset} is compressed`);
  return table.subarray(offset, offset + size);
}

function handlesIn(index: Buffer): Handle[] {
  return stretches(index).flatMap((stretch) =>
    [...entriesOf(stretch)].map(({ value }) => readHandle(new Cursor(value))),
  );
}

function readHandle(cursor: Cursor): Handle {
  const offset = cursor.varint();
  return { offset, size: cursor.varint() };
}

/** The parts of a block between restarts, as far as they make sense: each can be read without the one before. */
function stretches(block: Buffer): Buffer[] {
  const count = block.length < 4 ? 0 : block.readUInt32LE(block.length - 4);
  const end = block.length - 4 - 4 * count;
  if (count === 0 || end < 0) return [block];
  const starts = Array.from({ length: count }, (_, i) => block.readUInt32LE(end + 4 * i))
    .filter((start) => start < end)
    .sort((a, b) => a - b);
  return starts.map((start, i) => block.subarray(start, starts[i + 1] ?? end));
}

function* entriesOf(stretch: Buffer): Generator<{ readonly key: Buffer; readonly value: Buffer }> {
  const cursor = new Cursor(stretch);
  let key: Buffer = Buffer.alloc(0);
  while (!cursor.done) {
    const shared = cursor.varint();
    const rest = cursor.varint();
    const valueBytes = cursor.varint();
    if (shared > key.length) throw new FormatError('a key shares more than there is');
    key = Buffer.concat([key.subarray(0, shared), cursor.take(rest)]);
    yield { key, value: cursor.take(valueBytes) };
  }
}
