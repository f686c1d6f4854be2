// What proves that a frame comes from the other end of its session: a MAC under a key that the two ends have agreed upon
// in the signed handshake, and a counter without holes. A signature would say no more to the one who reads it, and takes
// twenty times as long. See the header of proto/occmesh/link/v1/link.proto.
import {
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import { TAGS, tagged } from '../identity/tags.js';
import { publicBytes } from '../identity/x25519.js';
import { LinkFault } from './fault.js';

export type Direction = 'U' | 'D';

const KEY_BYTES = 32;
const MAC_BYTES = 16;

/** The keys of a session, one for each direction. */
export type FrameKeys = { readonly [direction in Direction]: Buffer };

/** One end's half of the agreement. */
export class SessionKeyPair {
  /** 32 bytes (RFC 7748). */
  readonly publicKey: Buffer;
  readonly #privateKey: KeyObject;

  /** A new one; a given private key is for tests. */
  constructor(privateKey: KeyObject = generateKeyPairSync('x25519').privateKey) {
    this.publicKey = publicBytes(privateKey);
    this.#privateKey = privateKey;
  }

  /** Throws link.protocol when `theirs` is no X25519 key that one may agree with. */
  agree(theirs: Uint8Array, session: Uint8Array): FrameKeys {
    const secret = this.#secret(theirs);
    // In one piece of memory, shared with nothing else: a cloud has such a pair for each of its sessions.
    const both = Buffer.allocUnsafeSlow(2 * KEY_BYTES);
    const key = (direction: Direction, at: number) => {
      const info = tagged(TAGS.LINK_FRAME, Buffer.from(direction));
      both.set(new Uint8Array(hkdfSync('sha256', secret, session, info, KEY_BYTES)), at);
      return both.subarray(at, at + KEY_BYTES);
    };
    return { U: key('U', 0), D: key('D', KEY_BYTES) };
  }

  #secret(theirs: Uint8Array): Buffer {
    if (theirs.length !== KEY_BYTES) throw new LinkFault('link.protocol', 'a session key without 32 bytes');
    try {
      const x = Buffer.from(theirs).toString('base64url');
      const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
      return diffieHellman({ privateKey: this.#privateKey, publicKey });
    } catch {
      // A point of low order: what both would know, everybody would.
      throw new LinkFault('link.protocol', 'a session key that is none');
    }
  }
}

function macOf(key: Buffer, counter: number, payload: Uint8Array): Buffer {
  const number = Buffer.allocUnsafe(8);
  number.writeBigUInt64BE(BigInt(counter));
  return createHmac('sha256', key).update(number).update(payload).digest().subarray(0, MAC_BYTES);
}

/** Seals the frames of one direction, counting them. */
export class FrameSealer {
  /** `counter` of the frame before the first. */
  constructor(
    private readonly key: Buffer,
    private counter = 0,
  ) {}

  seal(payload: Uint8Array): { readonly counter: number; readonly mac: Buffer } {
    const counter = ++this.counter;
    return { counter, mac: macOf(this.key, counter, payload) };
  }
}

/** Opens the frames of one direction: each by its MAC, all by their gapless counter. */
export class FrameOpener {
  #counter = 0;

  constructor(private readonly key: Buffer) {}

  /** Throws link.unauthentic for a hole, a repetition or a MAC that is not the other end's. */
  open(payload: Uint8Array, counter: number, mac: Uint8Array): void {
    if (counter !== this.#counter + 1) {
      throw new LinkFault(
        'link.unauthentic',
        `frame ${counter} where ${this.#counter + 1} was due: lost, repeated or reordered`,
      );
    }
    if (mac.length !== MAC_BYTES || !timingSafeEqual(mac, macOf(this.key, counter, payload))) {
      throw new LinkFault('link.unauthentic', `the MAC of frame ${counter} does not verify`);
    }
    this.#counter = counter;
  }
}
