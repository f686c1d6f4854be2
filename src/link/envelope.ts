// Envelopes and what they carry, to bytes and back. Parsing faults are turned into LinkFault here, once.
import { Envelope, Lane, LinkDown, LinkUp } from '../../gen/occmesh/link/v1/link.js';
import { toError } from '../kernel/fault.js';
import { LinkFault } from './fault.js';

export type UpMessage = NonNullable<LinkUp['message']>;
export type DownMessage = NonNullable<LinkDown['message']>;

/** 1 MiB: no envelope may be larger. */
export const MAX_ENVELOPE_BYTES: number = 1 << 20;

function parse<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new LinkFault('link.protocol', `${what} does not parse: ${toError(cause).message}`, { cause });
  }
}

export function decodeEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > MAX_ENVELOPE_BYTES) throw new LinkFault('link.protocol', `envelope of ${bytes.length} bytes`);
  return parse('envelope', () => Envelope.decode(bytes));
}

export function decodeUp(payload: Uint8Array): UpMessage {
  const { message } = parse('frame', () => LinkUp.decode(payload));
  if (!message) throw new LinkFault('link.protocol', 'frame without content, or of a newer protocol version');
  return message;
}

export function decodeDown(payload: Uint8Array): DownMessage {
  const { message } = parse('frame', () => LinkDown.decode(payload));
  if (!message) throw new LinkFault('link.protocol', 'frame without content, or of a newer protocol version');
  return message;
}

export const encodeUp = (message: UpMessage): Uint8Array => LinkUp.encode({ message }).finish();
export const encodeDown = (message: DownMessage): Uint8Array => LinkDown.encode({ message }).finish();

/** For Challenge, and for content with a lasting signature. */
export function bareEnvelope(lane: Lane, payload: Uint8Array): Uint8Array {
  return Envelope.encode({ lane, payload, counter: 0, signature: NOTHING, mac: NOTHING }).finish();
}

/** For Hello and Welcome. */
export function signedEnvelope(payload: Uint8Array, signature: Uint8Array): Uint8Array {
  return Envelope.encode({ lane: Lane.CONTROL, payload, counter: 0, signature, mac: NOTHING }).finish();
}

/** For all other frames. */
export function frameEnvelope(payload: Uint8Array, counter: number, mac: Uint8Array): Uint8Array {
  return Envelope.encode({ lane: Lane.CONTROL, payload, counter, signature: NOTHING, mac }).finish();
}

const NOTHING = new Uint8Array(0);

const LANE_KEY = 0x08;

/**
 * The lane of a serialised envelope without parsing the rest, for carriers: field 1 comes first in what every
 * conforming hub sends. Anything else is BACKFILL: whoever hides the lane waits longest.
 */
export function peekLane(envelope: Uint8Array): Lane {
  if (envelope[0] !== LANE_KEY) return Lane.BACKFILL;
  const lane = envelope[1];
  return lane === Lane.CONTROL || lane === Lane.LIVE ? lane : Lane.BACKFILL;
}
