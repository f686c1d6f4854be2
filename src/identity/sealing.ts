// Sealing: HPKE (RFC 9180) in base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message per
// context. Says nothing about who sealed: signatures do that.
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { type Random, systemRandom } from '../kernel/random.js';
import { IdentityFault, malformed } from './fault.js';
import type { SealingKeyPair } from './sealing-keys.js';
import { X25519_LENGTH } from './x25519.js';

const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

type PrivateKey = Awaited<ReturnType<typeof suite.kem.deserializePrivateKey>>;

export interface SealedMessage {
  /** 32 bytes. */
  readonly encapsulatedKey: Uint8Array;
  /** As long as the plaintext and 16 bytes more. */
  readonly ciphertext: Uint8Array;
}

/** A secret that both ends of one sealed message derive and nobody else (RFC 9180 section 5.3). */
export type Exporter = (context: Uint8Array, length: number) => Promise<Buffer>;

export interface SealContext {
  /** What the message is for; part of the key schedule. At most 64 KiB. */
  readonly info: Uint8Array;
  /** What must be the same when it is opened. */
  readonly aad: Uint8Array;
}

/** Seals to a public key (32 bytes). Faults: identity.malformed when that is not a key. */
export async function seal(
  publicKey: Uint8Array,
  { info, aad }: SealContext,
  plaintext: Uint8Array,
  random: Random = systemRandom,
): Promise<SealedMessage & { readonly exportSecret: Exporter }> {
  const entropy = random.bytes(X25519_LENGTH);
  try {
    const recipientPublicKey = await suite.kem.deserializePublicKey(publicKey);
    const context = await suite.createSenderContext({ recipientPublicKey, info, ekm: entropy });
    const ciphertext = Buffer.from(await context.seal(plaintext, aad));
    return { encapsulatedKey: Buffer.from(context.enc), ciphertext, exportSecret: exporter(context) };
  } catch (cause) {
    throw malformed('nothing can be sealed to this key', cause);
  } finally {
    entropy.fill(0);
  }
}

/** Opens what was sealed to the key pair in the same context. The caller wipes it. Faults: identity.cannot-open. */
export async function open(
  keyPair: SealingKeyPair,
  { info, aad }: SealContext,
  { encapsulatedKey, ciphertext }: SealedMessage,
): Promise<{ readonly plaintext: Buffer; readonly exportSecret: Exporter }> {
  try {
    const context = await suite.createRecipientContext({
      recipientKey: await privateKeyOf(keyPair),
      enc: encapsulatedKey,
      info,
    });
    const plaintext = Buffer.from(await context.open(ciphertext, aad));
    return { plaintext, exportSecret: exporter(context) };
  } catch (cause) {
    throw new IdentityFault('identity.cannot-open', 'this was not sealed to this key in this context', {
      permanent: true,
      cause,
    });
  }
}

const privateKeys = new WeakMap<SealingKeyPair, Promise<PrivateKey>>();

function privateKeyOf(keyPair: SealingKeyPair): Promise<PrivateKey> {
  const known = privateKeys.get(keyPair);
  if (known) return known;
  const raw = keyPair.toRaw();
  const imported = suite.kem.deserializePrivateKey(raw).finally(() => raw.fill(0));
  privateKeys.set(keyPair, imported);
  return imported;
}

function exporter(context: { export(label: Uint8Array, length: number): Promise<ArrayBuffer> }): Exporter {
  return async (label, length) => Buffer.from(await context.export(label, length));
}
