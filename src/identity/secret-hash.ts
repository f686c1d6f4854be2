// How the cloud keeps the secrets of tokens: as SHA-256. They are 32 random bytes, so nothing slower is needed.
import { createHash, timingSafeEqual } from 'node:crypto';

/** Bytes of a token's id and of its secret. */
export const TOKEN_ID_LENGTH = 16;
export const TOKEN_SECRET_LENGTH = 32;

/** What is stored instead of a secret: 32 bytes. */
export function hashSecret(secret: Uint8Array): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** True when `hash` is that of `secret`; takes equally long wherever they differ. Never throws. */
export function secretMatches(secret: Uint8Array, hash: Uint8Array): boolean {
  return hash.length === 32 && timingSafeEqual(hashSecret(secret), hash);
}
