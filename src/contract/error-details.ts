// What a status says for programs: google.rpc.Status with ErrorInfo, BadRequest and RetryInfo, as the trailer
// `grpc-status-details-bin` carries it (https://google.aip.dev/193). Every text is bounded: the trailers of an answer have
// to fit into 8 KiB.
import { Any } from '../../gen/google/protobuf/any.js';
import { BadRequest, ErrorInfo, RetryInfo } from '../../gen/google/rpc/error_details.js';
import { Status } from '../../gen/google/rpc/status.js';
import { type Duration, milliseconds } from '../kernel/duration.js';

export const DETAILS_KEY = 'grpc-status-details-bin';
const DOMAIN = 'occ-mesh';
const TYPES = 'type.googleapis.com/google.rpc.';
/** Nobody is sent away for longer than a day, whatever the trailer says. */
const MAX_WAIT_MS = 86_400_000;
const MAX_REASON = 63;
const MAX_FIELD_BYTES = 200;
const MAX_TEXT_BYTES = 500;

export interface FieldProblem {
  /** Its path in the request, as the proto names it: `thresholds[0].metric`. */
  readonly field: string;
  readonly problem: string;
}

export interface ErrorDetails {
  /** A fault's code, or any other text: told in UPPER_SNAKE_CASE. */
  readonly reason: string | undefined;
  readonly fields: readonly FieldProblem[];
  readonly retryAfter: Duration | undefined;
  readonly advice?: string | undefined;
  /** The number under which the cause is in the log. */
  readonly incident?: string | undefined;
}

/** `inventory.not-found` is INVENTORY_NOT_FOUND. */
export const reasonOf = (code: string): string =>
  code
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '_')
    .slice(0, MAX_REASON);

/** The text without what cannot be sent (lone surrogates), cut after so many bytes. */
export function plainText(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text.slice(0, maxBytes));
  let end = Math.min(bytes.length, maxBytes);
  // Not in the middle of a character.
  while (end > 0 && end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

/** The bytes of the trailer. */
export function encodeDetails(code: number, message: string, details: ErrorDetails): Buffer {
  const { reason = '', fields, retryAfter, advice, incident } = details;
  const metadata = new Map<string, string>();
  if (advice !== undefined) metadata.set('advice', plainText(advice, MAX_TEXT_BYTES));
  if (incident !== undefined) metadata.set('incident', incident);
  const all = [any('ErrorInfo', ErrorInfo.encode({ reason: reasonOf(reason), domain: DOMAIN, metadata }).finish())];
  if (fields.length > 0) {
    const fieldViolations = fields.slice(0, 1).map(({ field, problem }) => ({
      field: plainText(field, MAX_FIELD_BYTES),
      description: plainText(problem, MAX_TEXT_BYTES),
    }));
    all.push(any('BadRequest', BadRequest.encode({ fieldViolations }).finish()));
  }
  if (retryAfter !== undefined) {
    const seconds = Math.floor(retryAfter / 1_000);
    const retryDelay = { seconds, nanos: Math.round((retryAfter - seconds * 1_000) * 1e6) };
    all.push(any('RetryInfo', RetryInfo.encode({ retryDelay }).finish()));
  }
  return Buffer.from(Status.encode({ code, message, details: all }).finish());
}

/** What the trailer says, as far as it can be read; a reason only if it is one of ours. */
export function decodeDetails(bytes: Uint8Array): ErrorDetails {
  try {
    const { details } = Status.decode(bytes);
    const find = (name: string) => details.find(({ typeUrl }) => typeUrl === TYPES + name)?.value;
    const info = read(ErrorInfo, find('ErrorInfo'));
    const delay = read(RetryInfo, find('RetryInfo'))?.retryDelay;
    const violations = read(BadRequest, find('BadRequest'))?.fieldViolations ?? [];
    return {
      reason: info?.domain === DOMAIN ? info.reason : undefined,
      advice: info?.metadata.get('advice'),
      incident: info?.metadata.get('incident'),
      fields: violations.map(({ field, description }) => ({ field, problem: description })),
      retryAfter: delay && wait(delay.seconds * 1_000 + delay.nanos / 1e6),
    };
  } catch {
    // Somebody else's, or damaged.
    return { reason: undefined, fields: [], retryAfter: undefined };
  }
}

const any = (name: string, value: Uint8Array): Any => Any.create({ typeUrl: TYPES + name, value });

const read = <T>(codec: { decode(bytes: Uint8Array): T }, bytes: Uint8Array | undefined): T | undefined =>
  bytes && codec.decode(bytes);

const wait = (ms: number): Duration => milliseconds(Math.min(Math.max(0, ms), MAX_WAIT_MS));
