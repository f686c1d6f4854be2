// Where the secrets of a sensor come from: opened for one run, wiped after it.
import type { SealedSecret, SensorConfig } from '../../gen/occmesh/link/v1/link.js';
import { SensorFault } from './fault.js';
import type { SecretField, Secrets, SecretTarget } from './kind.js';

export interface RunSecrets extends Secrets {
  /** Fills every plaintext that was handed out with zeros. */
  wipe(): void;
}

export interface SecretSource {
  forRun(): RunSecrets;
}

/** Of sensors that have none. */
export const NO_SECRETS: SecretSource = {
  forRun: () => ({ get: async () => undefined, wipe: () => undefined }),
};

/** Opens a secret of a sensor that has this target. Throws `sensor.secret` when it must not be used. */
export type OpenSecret = (sensor: number, secret: SealedSecret, target: SecretTarget) => Promise<Buffer>;

/** Of a sensor with sealed secrets in its configuration. */
export class SealedSource implements SecretSource {
  constructor(
    private readonly config: Pick<SensorConfig, 'number' | 'secrets'>,
    private readonly fields: Readonly<Record<string, SecretField>>,
    private readonly target: SecretTarget,
    private readonly open: OpenSecret,
  ) {}

  forRun(): RunSecrets {
    const given: Buffer[] = [];
    let over = false;
    const get = async (field: string): Promise<Buffer | undefined> => {
      const plaintext = await this.#get(field);
      if (over) {
        plaintext?.fill(0);
        throw secretFault('the run is over');
      }
      if (plaintext) given.push(plaintext);
      return plaintext;
    };
    const wipe = () => {
      over = true;
      for (const plaintext of given.splice(0)) plaintext.fill(0);
    };
    return { get, wipe };
  }

  async #get(field: string): Promise<Buffer | undefined> {
    const known = Object.hasOwn(this.fields, field) ? this.fields[field] : undefined;
    const secret = known && this.config.secrets.find((one) => one.field === field);
    if (secret) return this.open(this.config.number, secret, this.target);
    if (known?.required) throw secretFault(`no ${field} has been entered for this target`);
    return undefined;
  }
}

const secretFault = (message: string) => new SensorFault('sensor.secret', message, { permanent: true });
