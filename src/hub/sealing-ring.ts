// The hub's sealing keys: the one in use, and while it is being replaced the one that comes after it.
//   sealing.key        in use (membership/machine-files.ts)
//   sealing.next.key   made when the cloud asks for a rotation; takes the place of the other once the cloud has said, in a
//                      desired state that is on disk, that everything is sealed to it
// Whenever the process ends: with neither step done or with both keys there, the rotation goes on where it was.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SealingKey } from '../../gen/occmesh/link/v1/link.js';
import { isMissing, openKeyFile, readSecretFile, writeSecretFile } from '../identity/key-file.js';
import type { SigningKey } from '../identity/keys.js';
import { SealingKeyPair, sealingKeyId, signSealingKey } from '../identity/sealing-keys.js';

export class SealingRing {
  readonly #statements = new WeakMap<SealingKeyPair, SealingKey>();
  #next: SealingKeyPair | undefined;

  private constructor(
    private readonly directory: string,
    private readonly identity: SigningKey,
    private current: SealingKeyPair,
  ) {}

  /** Faults: identity.file-exposed, identity.file-unusable, identity.malformed. */
  static async open(directory: string, identity: SigningKey, current: SealingKeyPair): Promise<SealingRing> {
    const ring = new SealingRing(directory, identity, current);
    const next = await readSecretFile(ring.#nextPath).catch((thrown) => {
      if (isMissing(thrown)) return undefined;
      throw thrown;
    });
    if (!next) return ring;
    ring.#next = SealingKeyPair.fromPem(next.toString());
    next.fill(0);
    // It had taken its place already.
    if (ring.#next.publicKey.equals(current.publicKey)) await ring.#forgetNext();
    return ring;
  }

  isInUse(publicKey: Uint8Array): boolean {
    return this.current.publicKey.equals(publicKey);
  }

  byId(keyId: Uint8Array): SealingKeyPair | undefined {
    return this.#all.find(({ publicKey }) => sealingKeyId(publicKey).equals(keyId));
  }

  /** The one in use first. */
  statements(): SealingKey[] {
    return this.#all.map((pair) => this.statement(pair));
  }

  statement(pair: SealingKeyPair): SealingKey {
    const known = this.#statements.get(pair);
    if (known) return known;
    const made = { key: pair.publicKey, signature: signSealingKey(this.identity, pair.publicKey) };
    this.#statements.set(pair, made);
    return made;
  }

  /** The key that will replace the one in use; made at the first call, and on disk before anybody hears of it. */
  async successor(): Promise<SealingKeyPair> {
    this.#next ??= await openKeyFile(this.#nextPath, SealingKeyPair);
    return this.#next;
  }

  /** The cloud says that everything is sealed to this key: when it is the next one, the old one goes. */
  async confirmed(publicKey: Uint8Array): Promise<boolean> {
    const next = this.#next;
    if (!next?.publicKey.equals(publicKey)) return false;
    await writeSecretFile(join(this.directory, 'sealing.key'), next.toPem());
    this.current = next;
    await this.#forgetNext();
    return true;
  }

  async #forgetNext(): Promise<void> {
    await rm(this.#nextPath, { force: true });
    this.#next = undefined;
  }

  get #all(): SealingKeyPair[] {
    return this.#next ? [this.current, this.#next] : [this.current];
  }

  get #nextPath(): string {
    return join(this.directory, 'sealing.next.key');
  }
}
