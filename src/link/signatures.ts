// What is signed in a session, byte for byte; see the header of proto/occmesh/link/v1/link.proto. The bytes signed are
// the bytes that travel, never a re-encoding.
import { createHash } from 'node:crypto';
import type { SigningKey, VerifyKey } from '../identity/keys.js';
import { TAGS, tagged } from '../identity/tags.js';
import { LinkFault } from './fault.js';

function withLength(part: Uint8Array): Buffer {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(part.length);
  return Buffer.concat([length, part]);
}

/** What the hub signs to prove itself. */
export const helloInput = (challenge: Uint8Array, hello: Uint8Array): Buffer =>
  tagged(TAGS.LINK_HELLO, withLength(challenge), withLength(hello));

/** What the cloud signs to prove itself: the whole transcript. */
export const welcomeInput = (challenge: Uint8Array, hello: Uint8Array, welcome: Uint8Array): Buffer =>
  tagged(TAGS.LINK_WELCOME, withLength(challenge), withLength(hello), withLength(welcome));

/** 32 bytes that no other session has. Without lengths: where one part ends is fixed by the signature of Hello. */
export function sessionId(challenge: Uint8Array, hello: Uint8Array): Buffer {
  return createHash('sha256')
    .update(tagged(TAGS.LINK_SESSION, challenge, hello))
    .digest();
}

export type Direction = 'U' | 'D';

/** Builds the signed input of one direction's frames: tag, zero byte, session id, direction, counter, payload. */
class FrameInput {
  readonly #head: Buffer;

  constructor(session: Buffer, direction: Direction) {
    this.#head = Buffer.concat([tagged(TAGS.LINK_FRAME, session, Buffer.from(direction)), Buffer.alloc(8)]);
  }

  of(counter: number, payload: Uint8Array): Buffer {
    this.#head.writeBigUInt64BE(BigInt(counter), this.#head.length - 8);
    return Buffer.concat([this.#head, payload]);
  }
}

/** Signs the frames of one direction, counting them. */
export class FrameSigner {
  readonly #input: FrameInput;
  #counter = 0;

  constructor(
    private readonly key: SigningKey,
    session: Buffer,
    direction: Direction,
  ) {
    this.#input = new FrameInput(session, direction);
  }

  sign(payload: Uint8Array): { readonly counter: number; readonly signature: Buffer } {
    const counter = ++this.#counter;
    return { counter, signature: this.key.sign(this.#input.of(counter, payload)) };
  }
}

/** Verifies the frames of one direction: each by its signature, all by their gapless counter. */
export class FrameVerifier {
  readonly #input: FrameInput;
  #counter = 0;

  constructor(
    private readonly key: VerifyKey,
    session: Buffer,
    direction: Direction,
  ) {
    this.#input = new FrameInput(session, direction);
  }

  /** Throws link.unauthentic for a hole, a repetition or a signature that is not the author's. */
  verify(payload: Uint8Array, counter: number, signature: Uint8Array): void {
    if (counter !== this.#counter + 1) {
      throw new LinkFault(
        'link.unauthentic',
        `frame ${counter} where ${this.#counter + 1} was due: lost, repeated or reordered`,
      );
    }
    if (!this.key.verify(this.#input.of(counter, payload), signature)) {
      throw new LinkFault('link.unauthentic', `signature of frame ${counter} does not verify`);
    }
    this.#counter = counter;
  }
}
