// "Come back after …" inside a status: google.rpc.Status with a google.rpc.RetryInfo detail, as the trailer
// `grpc-status-details-bin` carries it (https://google.aip.dev/193). Three nested messages, written by hand because
// they are all that is used of googleapis.
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { type Duration, milliseconds } from '../kernel/duration.js';

export const DETAILS_KEY = 'grpc-status-details-bin';
const RETRY_INFO = 'type.googleapis.com/google.rpc.RetryInfo';
/** Nobody is sent away for longer than a day, whatever the trailer says. */
const MAX_WAIT_MS = 86_400_000;

/** The bytes of the trailer. */
export function encodeRetryInfo(code: number, message: string, retryAfter: Duration): Buffer {
  const wholeSeconds = Math.floor(retryAfter / 1_000);
  const nanos = Math.round((retryAfter - wholeSeconds * 1_000) * 1e6);
  const delay = new BinaryWriter().uint32(8).int64(wholeSeconds).uint32(16).int32(nanos).finish();
  const info = new BinaryWriter().uint32(10).bytes(delay).finish();
  const any = new BinaryWriter().uint32(10).string(RETRY_INFO).uint32(18).bytes(info).finish();
  return Buffer.from(
    new BinaryWriter().uint32(8).int32(code).uint32(18).string(message).uint32(26).bytes(any).finish(),
  );
}

/** The wait that the trailer asks for; undefined when it says nothing of the kind or cannot be read. */
export function decodeRetryInfo(details: Uint8Array): Duration | undefined {
  try {
    for (const any of fields(details, 3)) {
      const type = fields(any, 1)[0];
      if (!type || Buffer.from(type).toString() !== RETRY_INFO) continue;
      const delay = fields(fields(any, 2)[0] ?? new Uint8Array(), 1)[0] ?? new Uint8Array();
      const ms = number(delay, 1) * 1_000 + number(delay, 2) / 1e6;
      return milliseconds(Math.min(Math.max(0, ms), MAX_WAIT_MS));
    }
  } catch {
    // Somebody else's details; a hint that cannot be read is no hint.
  }
  return undefined;
}

/** Every length-delimited field of this number. */
function fields(message: Uint8Array, field: number): Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field && type === 2) found.push(reader.bytes());
    else reader.skip(type);
  }
  return found;
}

function number(message: Uint8Array, field: number): number {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [at, type] = reader.tag();
    if (at === field && type === 0) return Number(reader.int64());
    reader.skip(type);
  }
  return 0;
}
