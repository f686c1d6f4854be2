// LevelDB's log, and its MANIFEST, which is a log as well:
//
//   blocks of 32 KiB; in each, records: crc(4) length(2) type(1) payload. Type 1 is a whole payload, 2-3-4 are its
//   first, middle and last parts. The checksum covers type and payload.
//
// A payload of the log is a write batch; a payload of the MANIFEST says which tables come and go.
import { Cursor, FormatError, maskedCrc } from './level-format.js';

const BLOCK = 32 * 1024;
const HEADER = 7;
const WHOLE = 1;
const FIRST = 2;
const LAST = 4;

export interface LogPayload {
  readonly payload: Buffer;
  /** Something that was not intact lies between the payload before and this one. */
  readonly afterDamage: boolean;
}

/**
 * The intact payloads in order. A writer that died leaves damage at the end, with no payload after it (one write is
 * under way at a time); damage with an intact payload behind it is damage to what was once complete.
 */
export function* logPayloads(log: Buffer): Generator<LogPayload> {
  let parts: Buffer[] | undefined;
  let damaged = false;
  for (let at = skipTrailer(0); at + HEADER <= log.length; ) {
    const end = recordEnd(log, at);
    const type = log[at + 6];
    if (end === undefined) {
      damaged = true;
      parts = undefined;
      at = nextStart(log, at + 1);
      continue;
    }
    if (type === WHOLE || type === FIRST) {
      damaged ||= parts !== undefined;
      parts = [];
    }
    parts?.push(log.subarray(at + HEADER, end));
    if (parts && (type === WHOLE || type === LAST)) {
      yield { payload: parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts), afterDamage: damaged };
      damaged = false;
      parts = undefined;
    }
    at = skipTrailer(end);
  }
}

/** True when something that was once complete is not intact any more. */
export function isLogDamaged(log: Buffer): boolean {
  for (const { afterDamage } of logPayloads(log)) if (afterDamage) return true;
  return false;
}

/** Where the intact record that begins at `at` ends; undefined when there is none. */
function recordEnd(log: Buffer, at: number): number | undefined {
  const type = log[at + 6] ?? 0;
  const end = at + HEADER + log.readUInt16LE(at + 4);
  if (type < WHOLE || type > LAST || end > log.length || end > at - (at % BLOCK) + BLOCK) return undefined;
  return maskedCrc(log, at + 6, end) === log.readUInt32LE(at) ? end : undefined;
}

/** The next place at or after `from` where a payload could begin; its checksum is still to be looked at. */
function nextStart(log: Buffer, from: number): number {
  for (let at = skipTrailer(from); at + HEADER <= log.length; at = skipTrailer(at + 1)) {
    const type = log[at + 6];
    if ((type === WHOLE || type === FIRST) && recordEnd(log, at) !== undefined) return at;
  }
  return log.length;
}

/** The last bytes of a block are left empty when no header fits into them. */
function skipTrailer(at: number): number {
  const left = BLOCK - (at % BLOCK);
  return left < HEADER ? at + left : at;
}

export interface LogOp {
  readonly key: Buffer;
  /** Undefined for a deletion. */
  readonly value: Buffer | undefined;
  readonly sequence: number;
}

/** The operations of a payload of the log: sequence(8) count(4), then each: 1 key value, or 0 key. Throws FormatError. */
export function* batchOps(payload: Buffer): Generator<LogOp> {
  const cursor = new Cursor(payload);
  const header = cursor.take(12);
  let sequence = header.readUInt32LE(0) + header.readUInt32LE(4) * 2 ** 32;
  while (!cursor.done) {
    const tag = cursor.varint();
    if (tag > 1) throw new FormatError(`unknown operation ${tag} in a log`);
    yield { key: cursor.bytes(), value: tag === 1 ? cursor.bytes() : undefined, sequence: sequence++ };
  }
}

/** The numbers of the tables that a MANIFEST says are alive. Throws FormatError when it is not intact. */
export function liveTables(manifest: Buffer): Set<number> {
  const live = new Set<number>();
  for (const { payload, afterDamage } of logPayloads(manifest)) {
    if (afterDamage) throw new FormatError('a record in the middle is not intact');
    const edit = new Cursor(payload);
    while (!edit.done) applyEdit(edit, live);
  }
  return live;
}

function applyEdit(edit: Cursor, live: Set<number>): void {
  const tag = edit.varint();
  switch (tag) {
    case 1: // comparator
      edit.bytes();
      return;
    case 2: // log number
    case 3: // next file number
    case 4: // last sequence
    case 9: // previous log number
      edit.varint();
      return;
    case 5: // compaction pointer: level, key
      edit.varint();
      edit.bytes();
      return;
    case 6: // deleted table: level, number
      edit.varint();
      live.delete(edit.varint());
      return;
    case 7: // new table: level, number, size, smallest key, largest key
      edit.varint();
      live.add(edit.varint());
      edit.varint();
      edit.bytes();
      edit.bytes();
      return;
    default:
      throw new FormatError(`unknown tag ${tag} in a MANIFEST`);
  }
}
