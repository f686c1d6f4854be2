// Sealing keys: X25519, for what only their holder may open. KeyObjects and the HPKE form are made once and kept.
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { malformed } from './fault.js';
import type { SigningKey, VerifyKey } from './keys.js';
import { TAGS, tagged } from './tags.js';
import { publicBytes, X25519_LENGTH } from './x25519.js';

/** PKCS #8 of an X25519 key (RFC 8410 section 7) up to the 32 bytes of the key itself. */
const PKCS8_HEADER = Buffer.from('302e020100300506032b656e04220420', 'hex');

export class SealingKeyPair {
  /** 32 bytes (RFC 7748). */
  readonly publicKey: Buffer;

  private constructor(private readonly keyObject: KeyObject) {
    this.publicKey = publicBytes(keyObject);
  }

  static generate(): SealingKeyPair {
    return new SealingKeyPair(generateKeyPairSync('x25519').privateKey);
  }

  /** Reads PKCS #8 PEM. Faults: identity.malformed. */
  static fromPem(pem: string): SealingKeyPair {
    let key: KeyObject;
    try {
      key = createPrivateKey(pem);
    } catch {
      // No cause: an error of the parser could quote what it was given.
      throw malformed('this is not a private key in PEM');
    }
    if (key.asymmetricKeyType !== 'x25519') throw malformed(`a sealing key is X25519, not ${key.asymmetricKeyType}`);
    return new SealingKeyPair(key);
  }

  /** From the 32 bytes of a private key. Faults: identity.malformed. */
  static fromRaw(bytes: Uint8Array): SealingKeyPair {
    if (bytes.length !== X25519_LENGTH) throw malformed(`a sealing key has 32 bytes, not ${bytes.length}`);
    const der = Buffer.concat([PKCS8_HEADER, bytes]);
    try {
      return new SealingKeyPair(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
    } finally {
      der.fill(0);
    }
  }

  /** PKCS #8. A secret: for key files only. */
  toPem(): string {
    return this.keyObject.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  /** The 32 bytes of the private key, for HPKE. The caller wipes them. */
  toRaw(): Buffer {
    const der = this.keyObject.export({ type: 'pkcs8', format: 'der' });
    const raw = Buffer.from(der.subarray(-X25519_LENGTH));
    der.fill(0);
    return raw;
  }
}

/** The first 8 bytes of the SHA-256 of a public key: link.v1.SealedSecret.sealing_key_id. */
export function sealingKeyId(publicKey: Uint8Array): Buffer {
  return Buffer.from(createHash('sha256').update(publicKey).digest().subarray(0, 8));
}

/** The statement that `sealingKey` belongs to the identity of `key`; IdentityRequest.sealing_key_signature. */
export function signSealingKey(key: SigningKey, sealingKey: Uint8Array): Buffer {
  return key.sign(tagged(TAGS.SEALING_KEY, sealingKey));
}

/** Whoever seals asks this first, with the key of a certificate that it verified. Never throws. */
export function verifySealingKey(key: VerifyKey, sealingKey: Uint8Array, signature: Uint8Array): boolean {
  return sealingKey.length === X25519_LENGTH && key.verify(tagged(TAGS.SEALING_KEY, sealingKey), signature);
}
