// Public halves of X25519 keys.
import { createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';

/** Bytes of a key, public or private (RFC 7748). */
export const X25519_LENGTH = 32;

const u = Buffer.alloc(X25519_LENGTH);
u[0] = 9;
const BASE_POINT = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: u.toString('base64url') }, format: 'jwk' });

/**
 * The 32 bytes of the public key that belongs to a private one: its product with the base point (RFC 7748 section 6.1).
 * Nothing is exported. To write a key as SPKI takes Node twice as long. As JWK it can stand still for ever: Node 20 makes
 * a JWK's texts while it holds the key's lock, and if that collects garbage which holds the same lock (what made the key
 * does), nobody lets go of it.
 */
export const publicBytes = (privateKey: KeyObject): Buffer => diffieHellman({ privateKey, publicKey: BASE_POINT });
