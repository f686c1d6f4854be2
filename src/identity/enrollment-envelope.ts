// The sealing of enrolment requests and answers, as proto/occmesh/enrollment/v1/enrollment.proto describes it at its
// top: a connector that relays them sees ciphertext only, and only the cloud that opened a request can answer it.
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Sealed, SealedAnswer } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { type Random, systemRandom } from '../kernel/random.js';
import { IdentityFault, malformed } from './fault.js';
import { type Exporter, open, type SealContext, seal } from './sealing.js';
import type { SealingKeyPair } from './sealing-keys.js';
import { X25519_LENGTH } from './x25519.js';

/** The method of EnrollmentService that the content is for: an Enrol never passes for a Renew. */
export type EnrollmentMethod = 'Enrol' | 'Renew';

/** Limit of a sealed request or answer in bytes. */
const MAX_SEALED = 65_536;

const INFO = Buffer.from('occ-mesh/enrollment/v1', 'ascii');
const ANSWER_LABEL = Buffer.from('occ-mesh/enrollment/v1/answer', 'ascii');
const NONCE = 12;
const TAG = 16;

export interface SealedRequest {
  /** What travels. */
  readonly sealed: Sealed;
  /** The content of the answer to this very request. Faults: identity.cannot-open. */
  openAnswer(answer: SealedAnswer): Promise<Uint8Array>;
}

export interface OpenedRequest {
  readonly content: Uint8Array;
  /** Seals an answer that only the maker of this request can open. */
  sealAnswer(content: Uint8Array): SealedAnswer;
}

/** For the machine. `enrollmentKey` is the cloud's, 32 bytes, from the token. Faults: identity.malformed. */
export async function sealRequest(
  enrollmentKey: Uint8Array,
  method: EnrollmentMethod,
  content: Uint8Array,
  random: Random = systemRandom,
): Promise<SealedRequest> {
  const { encapsulatedKey, ciphertext, exportSecret } = await seal(enrollmentKey, contextOf(method), content, random);
  const key = await answerKey(exportSecret);
  return {
    sealed: { encapsulatedKey, ciphertext },
    openAnswer: async (answer) => decryptAnswer(key, method, answer.ciphertext),
  };
}

/** For the cloud. Faults: identity.cannot-open, identity.malformed (too long). */
export async function openRequest(
  keyPair: SealingKeyPair,
  method: EnrollmentMethod,
  sealed: Sealed,
  random: Random = systemRandom,
): Promise<OpenedRequest> {
  const length = sealed.encapsulatedKey.length + sealed.ciphertext.length;
  if (sealed.encapsulatedKey.length !== X25519_LENGTH || length > MAX_SEALED) {
    throw malformed('a sealed request has a key of 32 bytes and at most 64 KiB');
  }
  const { plaintext, exportSecret } = await open(keyPair, contextOf(method), sealed);
  const key = await answerKey(exportSecret);
  return {
    content: plaintext,
    sealAnswer: (content) => ({ ciphertext: encryptAnswer(key, method, content, random) }),
  };
}

function contextOf(method: EnrollmentMethod): SealContext {
  return { info: INFO, aad: Buffer.from(method, 'ascii') };
}

const answerKey = (exportSecret: Exporter): Promise<Buffer> => exportSecret(ANSWER_LABEL, 32);

/** Nonce, ciphertext, tag. */
function encryptAnswer(key: Buffer, method: EnrollmentMethod, content: Uint8Array, random: Random): Buffer {
  const nonce = random.bytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(contextOf(method).aad);
  return Buffer.concat([nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

function decryptAnswer(key: Buffer, method: EnrollmentMethod, answer: Uint8Array): Buffer {
  try {
    if (answer.length < NONCE + TAG || answer.length > MAX_SEALED) throw malformed('an answer of this length is none');
    const end = answer.length - TAG;
    const decipher = createDecipheriv('aes-256-gcm', key, answer.subarray(0, NONCE), { authTagLength: TAG })
      .setAAD(contextOf(method).aad)
      .setAuthTag(answer.subarray(end));
    return Buffer.concat([decipher.update(answer.subarray(NONCE, end)), decipher.final()]);
  } catch (cause) {
    throw new IdentityFault('identity.cannot-open', 'this does not answer the request that was made', { cause });
  }
}
