// What LevelDB's file formats have in common: masked checksums, variable-length numbers, file names. Reading its files
// ourselves is the only way to know whether they are intact: LevelDB does not look unless "paranoid_checks" is set,
// which its binding gives no access to; without it a changed byte in a table is handed out as data, or hides a key.
//
// Sources: doc/log_format.md, doc/table_format.md, db/version_edit.cc, db/write_batch.cc of LevelDB 1.20. Logs are in
// level-log.ts, tables in level-table.ts. Only what this folder writes is understood: no compression.
import { crc32c } from './checksum.js';

/** What does not fit the format; never leaves this folder. */
export class FormatError extends Error {}

/** LevelDB's form of a checksum: rotated and shifted, so that a checksum of bytes that hold one is still good. */
export function maskedCrc(bytes: Buffer, start: number, end: number): number {
  const crc = crc32c(bytes, start, end);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

export type FileKind = 'table' | 'log';

/** The number and kind of a file of interest; undefined for any other name. */
export function parseFileName(name: string): { readonly kind: FileKind; readonly number: number } | undefined {
  const match = /^(\d+)\.(ldb|sst|log)$/.exec(name);
  return match ? { kind: match[2] === 'log' ? 'log' : 'table', number: Number(match[1]) } : undefined;
}

/** Reads fields one after another; throws FormatError at the end of the bytes. */
export class Cursor {
  constructor(
    private readonly buffer: Buffer,
    public at = 0,
  ) {}

  get done(): boolean {
    return this.at >= this.buffer.length;
  }

  /** Seven bits per byte, lowest first; beyond 2^53 the result is inexact, which no number used here reaches. */
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.buffer[this.at++];
      if (byte === undefined) throw new FormatError('a number runs beyond the end');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  take(length: number): Buffer {
    if (this.at + length > this.buffer.length) throw new FormatError('a field runs beyond the end');
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }

  /** Length, then that many bytes. */
  bytes(): Buffer {
    return this.take(this.varint());
  }
}
