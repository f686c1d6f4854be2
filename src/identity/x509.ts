// The X.509 library, set up once. It needs reflect-metadata first and a WebCrypto provider; everything that builds or
// parses ASN.1 imports it from here and nowhere else.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { SigningKey, VerifyKey } from './keys.js';

x509.cryptoProvider.set(webcrypto);

export { x509 };

const ECDSA_P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
export const ECDSA_SHA256 = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** The public key as WebCrypto wants it. */
export function webPublicKey(key: VerifyKey): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('spki', key.spki, ECDSA_P256, true, ['verify']);
}

/** Both halves as WebCrypto wants them; the private one cannot be exported again. */
export async function webKeyPair(key: SigningKey): Promise<webcrypto.CryptoKeyPair> {
  const der = key.keyObject.export({ type: 'pkcs8', format: 'der' });
  try {
    const privateKey = await webcrypto.subtle.importKey('pkcs8', der, ECDSA_P256, false, ['sign']);
    return { privateKey, publicKey: await webPublicKey(key.publicKey) };
  } finally {
    der.fill(0);
  }
}
