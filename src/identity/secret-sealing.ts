// Sealing the secrets of sensors to a hub, and opening them there: link.v1.SealedSecret says what is bound to what.
// The cryptography comes with the first secret: most hubs never have one.
import type { SealedSecret, TargetPart } from '../../gen/occmesh/link/v1/link.js';
import type { EpochMs } from '../kernel/duration.js';
import { type Random, systemRandom } from '../kernel/random.js';
import type { TrustBundle } from './certificates.js';
import { IdentityFault, malformed } from './fault.js';
import { type SealingKeyPair, sealingKeyId, verifySealingKey } from './sealing-keys.js';
import { uuidBytes } from './uuid.js';
import { X25519_LENGTH } from './x25519.js';

/** Bytes of a secret. */
export const MAX_SECRET = 4_096;
/** What AES-GCM adds. */
const TAG = 16;
const INFO = Buffer.from('occ-mesh/secret/v1', 'ascii');
const FIELD = /^[a-z][a-z0-9-]{0,63}$/;

/** Whoever learns a secret: name and value of each part. */
export type Target = Readonly<Record<string, string>>;

/** Where a secret belongs, and nowhere else. */
export interface SecretPlace {
  /** UUID text. */
  readonly customerId: string;
  /** UUID text. */
  readonly machineId: string;
  readonly sensor: number;
  readonly field: string;
  readonly version: number;
  readonly target: Target;
}

/** True for what can name a secret of a sensor. */
const isSecretField = (name: string): boolean => FIELD.test(name);

/** Seals a secret. Faults: identity.malformed (the place, the key, the length). */
export async function sealSecret(
  publicKey: Uint8Array,
  place: SecretPlace,
  plaintext: Uint8Array,
  random: Random = systemRandom,
): Promise<SealedSecret> {
  if (plaintext.length < 1 || plaintext.length > MAX_SECRET) {
    throw malformed(`a secret has 1 to ${MAX_SECRET} bytes, not ${plaintext.length}`);
  }
  const { field, version, target } = place;
  const context = { info: INFO, aad: placeBytes(place) };
  const { seal } = await import('./sealing.js');
  const { encapsulatedKey, ciphertext } = await seal(publicKey, context, plaintext, random);
  const parts = targetParts(target);
  return { field, version, target: parts, sealingKeyId: sealingKeyId(publicKey), encapsulatedKey, ciphertext };
}

/**
 * Opens a secret in the place where it is to be used, whatever it says of itself. The caller wipes it. Faults:
 * identity.cannot-open (another key or place, or it was changed), identity.malformed (the place).
 */
export async function openSecret(
  keyPair: SealingKeyPair,
  place: SecretPlace,
  { encapsulatedKey, ciphertext }: Pick<SealedSecret, 'encapsulatedKey' | 'ciphertext'>,
): Promise<Buffer> {
  const context = { info: INFO, aad: placeBytes(place) };
  if (!isSealed(encapsulatedKey, ciphertext)) {
    throw new IdentityFault('identity.cannot-open', 'this has not the length of a sealed secret', { permanent: true });
  }
  const { open } = await import('./sealing.js');
  const { plaintext } = await open(keyPair, context, { encapsulatedKey, ciphertext });
  return plaintext;
}

/** Whether these have the lengths of a sealed secret. */
export const isSealed = (encapsulatedKey: Uint8Array, ciphertext: Uint8Array): boolean =>
  encapsulatedKey.length === X25519_LENGTH && ciphertext.length > TAG && ciphertext.length <= MAX_SECRET + TAG;

/** As it travels and is shown: ascending by the bytes of the name. */
export function targetParts(target: Target): TargetPart[] {
  return Object.entries(target)
    .map(([name, value]) => ({ name, value }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}

export const sameTarget = (target: Target, parts: readonly TargetPart[]): boolean =>
  targetBytes(targetParts(target)).equals(targetBytes(parts));

/** What binds: the AAD. No two places have the same bytes. */
function placeBytes({ customerId, machineId, sensor, field, version, target }: SecretPlace): Buffer {
  if (!isSecretField(field)) throw malformed('this cannot be the name of a secret');
  if (!Number.isInteger(sensor) || sensor < 0 || sensor > 0xffff_ffff) throw malformed('this is no sensor number');
  if (!Number.isSafeInteger(version) || version < 0) throw malformed('this is no version');
  const numbers = Buffer.alloc(12);
  numbers.writeUInt32BE(sensor, 0);
  numbers.writeBigUInt64BE(BigInt(version), 4);
  const parts = targetBytes(targetParts(target));
  return Buffer.concat([uuidBytes(customerId), uuidBytes(machineId), numbers, ...textBytes(field), parts]);
}

const targetBytes = (parts: readonly TargetPart[]): Buffer =>
  Buffer.concat(parts.flatMap(({ name, value }) => [...textBytes(name), ...textBytes(value)]));

function textBytes(text: string): [Buffer, Buffer] {
  const bytes = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return [length, bytes];
}

/** What a hub publishes about its sealing key, as secrets.v1.GetSealingContextResponse brings it. */
export interface SealingStatement {
  readonly customerId: string;
  readonly machineId: string;
  /** DER. */
  readonly certificate: Uint8Array;
  readonly sealingKey: Uint8Array;
  readonly sealingKeySignature: Uint8Array;
}

/**
 * The key to seal to, once it is proved that it is this hub's: whoever seals believes nobody in between. Faults:
 * identity.untrusted, .expired, .not-yet-valid, .wrong-role, .wrong-party, .malformed.
 */
export function requireSealingKey(trust: TrustBundle, statement: SealingStatement, at: EpochMs): Uint8Array {
  const { identity, key } = trust.verify(statement.certificate, at, { role: 'hub' });
  if (identity.machineId !== statement.machineId || identity.customerId !== statement.customerId) {
    throw new IdentityFault('identity.wrong-party', 'the certificate is that of another hub', { permanent: true });
  }
  if (!verifySealingKey(key, statement.sealingKey, statement.sealingKeySignature)) {
    throw new IdentityFault('identity.untrusted', 'the hub has not signed for this sealing key', { permanent: true });
  }
  return statement.sealingKey;
}
