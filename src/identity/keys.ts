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
/** SubjectPublicKeyInfo of a P-256 key, DER, up to x and y: the curve by its name, the point uncompressed (RFC 5480). */
const SPKI_HEADER = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const SPKI_LENGTH = SPKI_HEADER.length + 64;
const KEY_ID_LENGTH = 8;

/** One encoding only, so that one key has one id. */
function requireP256(spki: Buffer): void {
  if (spki.length === SPKI_LENGTH && spki.subarray(0, SPKI_HEADER.length).equals(SPKI_HEADER)) return;
  throw malformed('an identity key must be on the curve P-256, named and not compressed');
}

/**
 * A public identity key. A cloud keeps one for every hub: as text its bytes take half of what a Buffer takes, and nothing
 * else of the memory that Buffers share.
 */
export class VerifyKey {
  readonly #spki: string;
  readonly #keyId: string;

  /** Faults: identity.malformed unless `key` is a public key on P-256. */
  constructor(
    readonly keyObject: KeyObject,
    spki: Buffer = keyObject.export({ type: 'spki', format: 'der' }),
  ) {
    requireP256(spki);
    this.#spki = spki.toString('latin1');
    this.#keyId = createHash('sha256').update(spki).digest().toString('latin1', 0, KEY_ID_LENGTH);
  }

  /** Faults: identity.malformed. */
  static fromSpki(der: Uint8Array): VerifyKey {
    const spki = Buffer.from(der);
    // Before it is parsed, which takes longer.
    requireP256(spki);
    return new VerifyKey(parsePublic(spki), spki);
  }

  /** SubjectPublicKeyInfo, DER, with a named curve and an uncompressed point: 91 bytes. */
  get spki(): Buffer {
    return Buffer.from(this.#spki, 'latin1');
  }

  /** The first 8 bytes of the SHA-256 of `spki`: telemetry.v1.Signed.key_id. */
  get keyId(): Buffer {
    return Buffer.from(this.#keyId, 'latin1');
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
    return this.#spki === other.#spki;
  }
}

function parsePublic(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch (cause) {
    throw malformed('this is not a public key (SubjectPublicKeyInfo)', cause);
  }
}

/** A private identity key. It never leaves its machine. */
export class SigningKey {
  readonly publicKey: VerifyKey;

  private constructor(readonly keyObject: KeyObject) {
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
