// What is signed when a session begins, byte for byte; see the header of proto/occmesh/link/v1/link.proto. The bytes
// signed are the bytes that travel, never a re-encoding. What comes after that: frames.ts.
import { createHash } from 'node:crypto';
import { TAGS, tagged } from '../identity/tags.js';

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
