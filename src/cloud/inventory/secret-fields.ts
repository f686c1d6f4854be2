// What secrets hang upon: their sensor's kind and target, and their hub's key. When that goes, they go or are void.
import type { Target } from '../../identity/secret-sealing.js';
import type { SecretRecord, SensorRecord } from './records.js';
import { secretId, sensorId, type Tables } from './tables.js';

/** What the catalogue says of a sensor's secrets. */
export interface SensorSecrets {
  readonly fields: Readonly<Record<string, { readonly summary: string; readonly required: boolean }>>;
  /** For whom they are with the sensor's settings. */
  readonly target: Target;
}

export type DescribeSecrets = (sensor: Pick<SensorRecord, 'kind' | 'settings'>) => SensorSecrets | undefined;

/** Inside a transaction: those that apply must be entered again; their ciphertext goes. The caller raises the version. */
export function voidSecrets(
  tables: Tables,
  machineId: string,
  applies: (secret: SecretRecord) => boolean,
  reason: NonNullable<SecretRecord['void']>,
): void {
  for (const secret of [...tables.secrets.latestGroup(machineId)]) {
    if (secret.void !== undefined || !applies(secret)) continue;
    const { sealed: _, ...rest } = secret;
    tables.secrets.put({ ...rest, void: reason });
  }
}

/** Inside a transaction. */
export function removeSecrets(
  tables: Tables,
  machineId: string,
  applies: (secret: SecretRecord) => boolean = () => true,
): void {
  for (const secret of [...tables.secrets.latestGroup(machineId)]) {
    if (applies(secret)) tables.secrets.remove(secretId(sensorId(machineId, secret.sensor), secret.field));
  }
}
