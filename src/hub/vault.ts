// The secrets of this hub's sensors: which may be used, opening them for one run, and sealing them anew when the cloud asks
// for another key. Plaintext lives in Buffers of single runs; nothing here keeps any.
import {
  type DesiredState,
  Resealed,
  type SealedSecret,
  type SealingKey,
  type SecretFailure,
  SecretProblem,
} from '../../gen/occmesh/link/v1/link.js';
import type { Signed } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { IdentityFault } from '../identity/fault.js';
import type { SigningKey } from '../identity/keys.js';
import type { SealingKeyPair } from '../identity/sealing-keys.js';
import { openSecret, type SecretPlace, sameTarget, sealSecret } from '../identity/secret-sealing.js';
import { signContent } from '../identity/signed.js';
import { TAGS } from '../identity/tags.js';
import { uuidBytes } from '../identity/uuid.js';
import type { Logger } from '../kernel/log.js';
import { Serial } from '../kernel/serial.js';
import { SensorFault } from '../sensors/fault.js';
import type { SecretTarget } from '../sensors/kind.js';
import { type Kinds, secretTarget } from '../sensors/plan.js';
import { SealingRing } from './sealing-ring.js';
import { SecretVersions } from './secret-versions.js';

export interface VaultModules {
  readonly directory: string;
  /** UUID text. */
  readonly customerId: string;
  /** UUID text. */
  readonly machineId: string;
  readonly identity: SigningKey;
  readonly sealing: SealingKeyPair;
  readonly kinds: Kinds;
  readonly log: Logger;
}

/** A secret where it would be used. */
interface Use {
  readonly sensor: number;
  readonly secret: SealedSecret;
  /** As this hub's own configuration says. */
  readonly target: SecretTarget;
}

const WORDS: { readonly [P in SecretProblem]?: string } = {
  [SecretProblem.OTHER_TARGET]: 'was entered for another target',
  [SecretProblem.ROLLED_BACK]: 'is older than one that was here before',
  [SecretProblem.UNKNOWN_KEY]: 'was sealed to a key that this hub does not have',
  [SecretProblem.CANNOT_OPEN]: 'cannot be opened',
};

export class Vault {
  /** Steps of replacing the key write the same files. */
  readonly #rotating = new Serial();

  private constructor(
    private readonly modules: VaultModules,
    private readonly ring: SealingRing,
    private readonly versions: SecretVersions,
  ) {}

  /** Faults: identity.* of the key files. */
  static async open(modules: VaultModules): Promise<Vault> {
    const { directory, identity, sealing, log } = modules;
    const ring = await SealingRing.open(directory, identity, sealing);
    return new Vault(modules, ring, await SecretVersions.open(directory, log));
  }

  /** What this hub says of its sealing keys. */
  statements(): SealingKey[] {
    return this.ring.statements();
  }

  /** Before a desired state is put into effect: which of its secrets will not be used. */
  async admit(state: DesiredState): Promise<SecretFailure[]> {
    await this.versions.take(state);
    const failures: SecretFailure[] = [];
    for (const use of this.#usesOf(state)) {
      const { sensor, secret } = use;
      const result = await this.#open(use);
      if (Buffer.isBuffer(result)) result.fill(0);
      else failures.push({ sensor, field: secret.field, version: secret.version, problem: result });
    }
    if (failures.length > 0) {
      this.modules.log.warn({ refused: failures.map(({ sensor, field }) => `${sensor}/${field}`) }, 'secrets refused');
    }
    return failures;
  }

  /** For one run; the caller wipes it. Throws `sensor.secret`. */
  readonly open = async (sensor: number, secret: SealedSecret, target: SecretTarget): Promise<Buffer> => {
    const result = await this.#open({ sensor, secret, target });
    if (Buffer.isBuffer(result)) return result;
    throw new SensorFault('sensor.secret', `the ${secret.field} ${WORDS[result]}: enter it again`, { permanent: true });
  };

  /** The answer to a desired state that asks for another key; undefined when this one does not. */
  answer(state: DesiredState | undefined): Promise<Signed | undefined> {
    return this.#rotating.run(() => this.#answer(state));
  }

  /** The state is on disk: a key that it no longer needs goes. */
  settle(state: DesiredState | undefined): Promise<void> {
    return this.#rotating.run(async () => {
      if (state && (await this.ring.confirmed(state.sealingKey))) this.modules.log.info('sealing key replaced');
    });
  }

  async #answer(state: DesiredState | undefined): Promise<Signed | undefined> {
    if (!state?.rotateSealingKey || !this.ring.isInUse(state.sealingKey)) return undefined;
    const { identity, machineId } = this.modules;
    const next = await this.ring.successor();
    const secrets: Resealed['secrets'] = [];
    for (const use of this.#usesOf(state)) {
      const plaintext = await this.#open(use);
      if (!Buffer.isBuffer(plaintext)) continue;
      const secret = await sealSecret(next.publicKey, this.#placeOf(use), plaintext).finally(() => plaintext.fill(0));
      secrets.push({ sensor: use.sensor, secret: { ...secret, target: [] } });
    }
    const content = Resealed.encode({
      machineId: uuidBytes(machineId),
      configVersion: state.version,
      oldKey: state.sealingKey,
      newKey: this.ring.statement(next),
      secrets,
    }).finish();
    return signContent(identity, TAGS.RESEALED, content);
  }

  *#usesOf({ sensors }: DesiredState): Iterable<Use> {
    for (const config of sensors) {
      const target = secretTarget(config, this.modules.kinds);
      // Without one the sensor does not run, and says why.
      if (target) for (const secret of config.secrets) yield { sensor: config.number, secret, target };
    }
  }

  async #open(use: Use): Promise<Buffer | SecretProblem> {
    const { sensor, secret, target } = use;
    if (this.versions.isRefused(sensor, secret)) return SecretProblem.ROLLED_BACK;
    if (!sameTarget(target, secret.target)) return SecretProblem.OTHER_TARGET;
    const keyPair = this.ring.byId(secret.sealingKeyId);
    if (!keyPair) return SecretProblem.UNKNOWN_KEY;
    try {
      return await openSecret(keyPair, this.#placeOf(use), secret);
    } catch (thrown) {
      if (thrown instanceof IdentityFault) return SecretProblem.CANNOT_OPEN;
      throw thrown;
    }
  }

  #placeOf({ sensor, secret: { field, version }, target }: Use): SecretPlace {
    const { customerId, machineId } = this.modules;
    return { customerId, machineId, sensor, field, version, target };
  }
}
