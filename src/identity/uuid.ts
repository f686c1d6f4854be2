// UUIDs as text and as 16 bytes.
import { view } from '../kernel/bytes.js';
import type { EpochMs } from '../kernel/duration.js';
import { type Random, uuid7 } from '../kernel/random.js';
import { malformed } from './fault.js';

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for the one text form in use here: lower case with hyphens (RFC 9562 section 4). */
export const isUuid = (text: string): boolean => FORM.test(text);

/** 16 bytes as text. Faults: identity.malformed for another length. */
export function uuidText(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw malformed(`an id has 16 bytes, not ${bytes.length}`);
  const hex = view(bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Text as 16 bytes. Faults: identity.malformed for anything but the lower-case form with hyphens. */
export function uuidBytes(text: string): Buffer {
  if (!isUuid(text)) throw malformed(`not an id: ${JSON.stringify(text.slice(0, 64))}`);
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

/** One that was never there before, as text. */
export const newId = (random: Random, now: EpochMs): string => uuidText(uuid7(random, now));
