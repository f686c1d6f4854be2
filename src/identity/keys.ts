// Identity keys: ECDSA P-256 with SHA-256. KeyObjects are parsed once and kept, because parsing a key costs more than
// verifying a signature. Sealing keys (X25519) are in sealing-keys.ts.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { malformed } from './fault.js';

const CURVE = 'prime256v1';
/** r and s, 32 bytes each: shorter than DER, and always as long (as ES256 in RFC 7518 section 3.4). */
const ENCODING = 'ieee-p1363';
/** SubjectPublicKeyInfo of a P-256 key: 26 bytes of header, 0x04, x, y. */
const SPKI_LENGTH = 91;

/** The first 8 bytes of the SHA-256 of a public key (SubjectPublicKeyInfo, DER): telemetry.v1.Signed.key_id. */
function keyIdOf(spki: Uint8Array): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 8);
}

function requireP256(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== CURVE) {
    throw malformed(
      `an identity key must be on the curve P-256, not ${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType}`,
    );
  }
  return key;
}

/** A public identity key. */
export class VerifyKey {
  /** SubjectPublicKeyInfo, DER, with a named curve and an uncompressed point: 91 bytes. */
  readonly spki: Buffer;
  readonly keyId: Buffer;

  /** Faults: identity.malformed unless `key` is a public key on P-256. */
  constructor(readonly keyObject: KeyObject) {
    requireP256(keyObject);
    // One encoding only, so that one key has one id.
    this.spki = keyObject.export({ type: 'spki', format: 'der' });
    if (this.spki.length !== SPKI_LENGTH) throw malformed('an identity key must have an uncompressed point');
    this.keyId = keyIdOf(this.spki);
  }

  /** Faults: identity.malformed. */
  static fromSpki(der: Uint8Array): VerifyKey {
    return new VerifyKey(parsePublic(der));
  }

  /** True when `signature` (as of SigningKey.sign) over `data` was made with this key's private half. Never throws. */
  verify(data: Uint8Array, signature: Uint8Array): boolean {
    try {
      return verify('sha256', data, { key: this.keyObject, dsaEncoding: ENCODING }, signature);
    } catch {
      return false;
    }
  }

  equals(other: VerifyKey): boolean {
    return this.spki.equals(other.spki);
  }
}

function parsePublic(der: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
  } catch (cause) {
    throw malformed('this is not a public key (SubjectPublicKeyInfo)', cause);
  }
}

/** A private identity key. It never leaves its machine. */
export class SigningKey {
  readonly publicKey: VerifyKey;

  private constructor(readonly keyObject: KeyObject) {
    requireP256(keyObject);
    this.publicKey = new VerifyKey(createPublicKey(keyObject));
  }

  static generate(): SigningKey {
    return new SigningKey(generateKeyPairSync('ec', { namedCurve: CURVE }).privateKey);
  }

  /** Reads PKCS #8 or SEC 1 PEM. Faults: identity.malformed. */
  static fromPem(pem: string): SigningKey {
    let key: KeyObject;
    try {
      key = createPrivateKey(pem);
    } catch {
      // No cause: an error of the parser could quote what it was given.
      throw malformed('this is not a private key in PEM');
    }
    return new SigningKey(key);
  }

  /** PKCS #8. A secret: for key files only. */
  toPem(): string {
    return this.keyObject.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  /** ECDSA with SHA-256: r and s, 64 bytes; a different one each time. */
  sign(data: Uint8Array): Buffer {
    return sign('sha256', data, { key: this.keyObject, dsaEncoding: ENCODING });
  }
}
