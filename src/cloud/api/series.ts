// Which sensors of which hubs a request means.
import { invalid } from '../../contract/status.js';
import type { MachineRecord } from '../inventory/records.js';
import type { View } from './tenancy.js';

/** Sensors of one hub. */
export interface HubSeries {
  readonly machine: MachineRecord;
  /** Absent: all. */
  readonly sensors?: ReadonlySet<number>;
}

/**
 * Those that are named, hub by hub; there is at least one. Sensors may have been removed: their history stays. Faults:
 * api.invalid, inventory.not-found.
 */
export function seriesNamed(view: View, field: string, ids: readonly string[], most: number): HubSeries[] {
  if (ids.length > most) throw invalid(field, `names ${ids.length} sensors; ${most} at most`);
  const hubs = new Map<string, { machine: MachineRecord; sensors: Set<number> }>();
  for (const [i, id] of ids.entries()) {
    const [, machineId = '', number = ''] = /^([^/]+)\/([1-9]\d{0,9})$/.exec(id) ?? [];
    if (machineId === '') throw invalid(`${field}[${i}]`, 'must be the id of a hub, a slash, and a number');
    const known = hubs.get(machineId) ?? { machine: view.machine(`${field}[${i}]`, machineId), sensors: new Set() };
    hubs.set(machineId, known);
    known.sensors.add(Number(number));
  }
  return [...hubs.values()];
}

/** By a list of sensors, or else by a hub and one or all of its sensors. Faults: as seriesNamed. */
export function seriesOf(
  view: View,
  request: { readonly machineId: string; readonly sensor: number; readonly sensorIds: readonly string[] },
  most: number,
): HubSeries[] {
  const { machineId, sensor, sensorIds } = request;
  if (sensorIds.length === 0) {
    const machine = view.machine('machine_id', machineId);
    return [sensor === 0 ? { machine } : { machine, sensors: new Set([sensor]) }];
  }
  if (machineId !== '' || sensor !== 0) throw invalid('sensor_ids', 'come instead of machine_id and sensor');
  return seriesNamed(view, 'sensor_ids', sensorIds, most);
}

/** The one sensor that is meant; 0 when it is several. */
export const onlySensor = ({ sensors }: HubSeries): number => (sensors?.size === 1 ? ([...sensors][0] ?? 0) : 0);

export const hasSensor = ({ sensors }: HubSeries, sensor: number): boolean => sensors?.has(sensor) ?? true;
