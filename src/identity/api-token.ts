// Bearer tokens of services and people: `occ_` and the base64url of id (16 bytes) and secret (32 bytes), 68 characters.
// The id finds the stored hash; the secret is in no store.
import type { Random } from '../kernel/random.js';
import { hashSecret, TOKEN_ID_LENGTH, TOKEN_SECRET_LENGTH } from './secret-hash.js';

export interface ApiToken {
  /** 16 bytes. */
  readonly id: Buffer;
  /** 32 bytes. */
  readonly secret: Buffer;
}

const FORM = /^occ_([A-Za-z0-9_-]{64})$/;

/** A new token: its text is shown once, its hash is stored. Without `id` that is random too. */
export function createApiToken(random: Random, id: Uint8Array = random.bytes(TOKEN_ID_LENGTH)) {
  const secret = random.bytes(TOKEN_SECRET_LENGTH);
  const token: ApiToken = { id: Buffer.from(id), secret };
  return { ...token, text: formatApiToken(token), hash: hashSecret(secret) };
}

export function formatApiToken({ id, secret }: ApiToken): string {
  return `occ_${Buffer.concat([id, secret]).toString('base64url')}`;
}

/** Undefined for whatever is not the text of a token. */
export function parseApiToken(text: string): ApiToken | undefined {
  const body = FORM.exec(text)?.[1];
  if (body === undefined) return undefined;
  const bytes = Buffer.from(body, 'base64url');
  return { id: bytes.subarray(0, TOKEN_ID_LENGTH), secret: bytes.subarray(TOKEN_ID_LENGTH) };
}
