// What a hub should be and do, put together from its record, its sensors and its customer's policy, and the one rule
// about its version: whatever changes the desired state of a hub raises its version, and nothing lowers it. A sensor's
// number is the version that introduced it, so no number is ever used twice.
import type { DesiredState, SensorConfig } from '../../../gen/occmesh/link/v1/link.js';
import { uuidBytes } from '../../identity/uuid.js';
import { type Duration, minutes, seconds } from '../../kernel/duration.js';
import { InventoryFault } from './faults.js';
import type { CustomerRecord, MachineRecord, SensorRecord } from './records.js';
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
  readonly connectors: string[];
}

export function renderDesiredState(parts: DesiredStateParts): DesiredState {
  const { machine, customer, sensors, connectors } = parts;
  return {
    machineId: uuidBytes(machine.id),
    version: machine.configVersion,
    sensors: [...sensors].sort((a, b) => a.number - b.number).map(renderSensor),
    directAllowed: machine.directAllowed ?? customer.directAllowed,
    fallbackAfterMs: customer.fallbackAfterMs,
    connectors,
    lingerMs: LINGER,
    displayName: machine.name,
  };
}

export function renderSensor(sensor: SensorRecord): SensorConfig {
  const { number, name, kind, settings, intervalMs, timeoutMs, paused } = sensor;
  return { number, name, kind, settings, intervalMs, timeoutMs, paused, thresholds: [...sensor.thresholds] };
}
