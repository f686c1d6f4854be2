// Certificate requests (PKCS #10): how a machine proves that it holds the key it wants a certificate for.
// Only the key counts; names and extensions that a request asks for are ignored by the authority.
import { verify } from 'node:crypto';
import { malformed } from './fault.js';
import { type SigningKey, VerifyKey } from './keys.js';
import { ECDSA_SHA256, webKeyPair, x509 } from './x509.js';

/** A request of a P-256 key takes about 200 bytes; nobody needs more than this. */
const MAX_CSR = 4_096;

/** AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 section 3.2). */
const SHA256_ALGORITHM = Buffer.from('300a06082a8648ce3d040302', 'hex');

/** A request for `key`, DER. Its subject is empty. */
export async function createCsr(key: SigningKey): Promise<Buffer> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: '',
    keys: await webKeyPair(key),
    signingAlgorithm: ECDSA_SHA256,
  });
  return Buffer.from(request.rawData);
}

/** The key of a request, after its self-signature has been verified. Faults: identity.malformed. */
export function verifyCsr(der: Uint8Array): VerifyKey {
  if (der.length > MAX_CSR) throw malformed('this certificate request is too long');
  let key: VerifyKey;
  let signature: Uint8Array;
  try {
    const request = new x509.Pkcs10CertificateRequest(Buffer.from(der));
    key = VerifyKey.fromSpki(new Uint8Array(request.publicKey.rawData));
    signature = new Uint8Array(request.signature);
  } catch (cause) {
    throw malformed('this is not a certificate request of a P-256 key', cause);
  }
  // Verified by hand: the parser is lenient about what follows the signed part, and here exactly one form is accepted.
  const header = headerLength(der);
  const tail = Buffer.concat([SHA256_ALGORITHM, Buffer.of(0x03, signature.length + 1, 0x00), signature]);
  const signed = der.subarray(header, -tail.length);
  // X.509 has signatures in DER.
  if (!tail.equals(der.subarray(-tail.length)) || !verify('sha256', signed, key.keyObject, signature)) {
    throw malformed('the certificate request is not signed by its own key');
  }
  return key;
}

/** Bytes of tag and length of the outermost DER element (X.690 section 8.1.3). */
function headerLength(der: Uint8Array): number {
  const length = der[1] ?? 0;
  return length < 0x80 ? 2 : 2 + (length & 0x7f);
}
