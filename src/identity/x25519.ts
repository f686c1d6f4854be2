// Public halves of X25519 keys.
import { createPublicKey, type KeyObject } from 'node:crypto';

/** Bytes of a key, public or private (RFC 7748). */
export const X25519_LENGTH = 32;

/**
 * The 32 bytes of the public key that belongs to a private one. By way of SPKI (RFC 8410 section 4) and not of JWK: Node 20
 * makes a JWK's texts while it holds the key's lock, and if that collects garbage which holds the same lock (what made the
 * key does), the process stands still for ever.
 */
export const publicBytes = (privateKey: KeyObject): Buffer =>
  Buffer.from(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).subarray(-X25519_LENGTH));
