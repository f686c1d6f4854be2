// The cryptography of link.v1 once more, from the text of the contract and node:crypto alone: what judges a
// conversation must not be the code that holds it.
import { createHash, createHmac, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync } from 'node:crypto';

export interface FrameKeys {
  readonly up: Uint8Array;
  readonly down: Uint8Array;
}

const ascii = (tag: string): Buffer => Buffer.from(`${tag}\0`, 'ascii');

function measured(part: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(part.length);
  return Buffer.concat([length, part]);
}

/** What Hello signs. */
export const helloText = (challenge: Uint8Array, hello: Uint8Array): Buffer =>
  Buffer.concat([ascii('occ-mesh/link/hello/v1'), measured(challenge), measured(hello)]);

/** What Welcome signs. */
export const welcomeText = (challenge: Uint8Array, hello: Uint8Array, welcome: Uint8Array): Buffer =>
  Buffer.concat([ascii('occ-mesh/link/welcome/v1'), ...[challenge, hello, welcome].map(measured)]);

/** One end's X25519 key of a session. */
export class KeyAgreement {
  readonly #pair = generateKeyPairSync('x25519');
  readonly publicKey = this.#pair.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);

  /** Throws for what is no key. */
  agree(theirs: Uint8Array, challenge: Uint8Array, hello: Uint8Array): FrameKeys {
    const x = Buffer.from(theirs).toString('base64url');
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
    const secret = diffieHellman({ privateKey: this.#pair.privateKey, publicKey });
    const id = createHash('sha256').update(ascii('occ-mesh/link/session/v1')).update(challenge).update(hello).digest();
    const key = (direction: string) => {
      const info = Buffer.concat([ascii('occ-mesh/link/frame/v1'), Buffer.from(direction)]);
      return new Uint8Array(hkdfSync('sha256', secret, id, info, 32));
    };
    return { up: key('U'), down: key('D') };
  }
}

export function macOf(key: Uint8Array, counter: number, payload: Uint8Array): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(counter));
  return createHmac('sha256', key).update(number).update(payload).digest().subarray(0, 16);
}
