// Where the secrets of a sensor come from: opened for one run, wiped after it.
import type { Secrets } from './kind.js';

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
