// What a hub should be and do, put together from its record, its sensors and its customer's policy, and the one rule
// about its version: whatever changes the desired state of a hub raises its version, and nothing lowers it. A sensor's
// number is the version that introduced it, so no number is ever used twice.
import type { DesiredState, SealedSecret, SensorConfig } from '../../../gen/occmesh/link/v1/link.js';
import { targetParts } from '../../identity/secret-sealing.js';
import { uuidBytes } from '../../identity/uuid.js';
import { type Duration, minutes, seconds } from '../../kernel/duration.js';
import { InventoryFault } from '../records/faults.js';
import type { CustomerRecord, MachineRecord, SecretRecord, SensorRecord } from './records.js';
import { machineGroup, type Tables } from './tables.js';

export const DEFAULT_FALLBACK_AFTER: Duration = minutes(5);
const LINGER = seconds(2);

/** Sensor numbers are 32 bits wide, and so are versions: room for two raises a second for 68 years. */
export const MAX_VERSION = 2 ** 32 - 1;

/** `machine` with a version raised by `by`. Faults: inventory.exhausted. */
export function bumped(machine: MachineRecord, by = 1): MachineRecord {
  const configVersion = machine.configVersion + by;
  if (configVersion > MAX_VERSION) {
    throw new InventoryFault('inventory.exhausted', `${machine.name} has used up its configuration versions`, {
      permanent: true,
      advice: 'Retire the machine and enrol it again.',
    });
  }
  return { ...machine, configVersion };
}

/** Inside a transaction: raises the version of every hub of a customer that is in use and for which `affects` holds. */
export function bumpHubs(tables: Tables, customerId: string, affects: (hub: MachineRecord) => boolean): void {
  for (const hub of [...tables.machines.latestGroup(machineGroup(customerId, 'hub'))]) {
    if (hub.retiredAtMs === undefined && affects(hub)) tables.machines.put(bumped(hub));
  }
}

/** Where hubs reach the connectors among `machines`: host:port, without doubles, sorted. */
export function lanAddressesOf(machines: Iterable<MachineRecord>): string[] {
  const all = new Set<string>();
  for (const machine of machines) {
    if (machine.retiredAtMs === undefined) for (const address of machine.lanAddresses) all.add(address);
  }
  return [...all].sort();
}

export interface DesiredStateParts {
  readonly machine: MachineRecord;
  readonly customer: CustomerRecord;
  readonly sensors: Iterable<SensorRecord>;
  readonly secrets: Iterable<SecretRecord>;
  readonly connectors: string[];
}

export function renderDesiredState(parts: DesiredStateParts): DesiredState {
  const { machine, customer, sensors, connectors } = parts;
  const secrets = [...parts.secrets];
  return {
    machineId: uuidBytes(machine.id),
    version: machine.configVersion,
    sensors: [...sensors].sort((a, b) => a.number - b.number).map((sensor) => renderSensor(sensor, secrets)),
    directAllowed: machine.directAllowed ?? customer.directAllowed,
    fallbackAfterMs: customer.fallbackAfterMs,
    connectors,
    lingerMs: LINGER,
    displayName: machine.name,
    sealingKey: Buffer.from(machine.sealing?.key ?? '', 'base64'),
    rotateSealingKey: machine.rotating === true,
  };
}

/** `secrets`: those of its hub. */
export function renderSensor(sensor: SensorRecord, secrets: readonly SecretRecord[]): SensorConfig {
  const { number, name, kind, settings, intervalMs, timeoutMs, paused } = sensor;
  const own = secrets.filter((secret) => secret.sensor === number).flatMap(renderSecret);
  const thresholds = [...sensor.thresholds];
  return { number, name, kind, settings, intervalMs, timeoutMs, paused, thresholds, secrets: own };
}

/** A secret that is void stays where it is. */
function renderSecret({ field, version, target, sealed }: SecretRecord): SealedSecret[] {
  if (!sealed) return [];
  const sealingKeyId = Buffer.from(sealed.keyId, 'hex');
  const encapsulatedKey = Buffer.from(sealed.encapsulatedKey, 'base64');
  const ciphertext = Buffer.from(sealed.ciphertext, 'base64');
  return [{ field, version, target: targetParts(target), sealingKeyId, encapsulatedKey, ciphertext }];
}
