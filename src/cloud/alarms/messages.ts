// Alarms and what belongs to them, as the contract sends them.
import { type Alarm, AlarmCause, type Maintenance } from '../../../gen/occmesh/events/v1/events.js';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { sensorId } from '../inventory/tables.js';
import type { AlarmRecord, Cause, MaintenanceRecord, Severity } from './records.js';

export const CAUSES: { readonly [C in Cause]: AlarmCause } = {
  sensor: AlarmCause.SENSOR,
  stale: AlarmCause.STALE,
  flapping: AlarmCause.FLAPPING,
  lost: AlarmCause.LOST,
  quarantined: AlarmCause.QUARANTINED,
};

export const SEVERITIES: { readonly [S in Severity]: State } = {
  warning: State.WARNING,
  unknown: State.UNKNOWN,
  critical: State.CRITICAL,
};

/** What a record does not say, because it is not the alarm's own. */
export interface AlarmSurroundings {
  readonly inMaintenance?: boolean;
  readonly unreachableHubs?: number;
}

export function alarmToProto(alarm: AlarmRecord, around: AlarmSurroundings = {}): Alarm {
  return {
    id: alarm.id,
    customerId: alarm.customerId,
    machineId: alarm.machineId,
    sensorId: alarm.sensor === undefined ? '' : sensorId(alarm.machineId, alarm.sensor),
    cause: CAUSES[alarm.cause],
    severity: SEVERITIES[alarm.severity],
    message: alarm.message,
    raisedAtMs: alarm.raisedAtMs,
    changedAtMs: alarm.changedAtMs,
    closedAtMs: alarm.closedAtMs ?? 0,
    acknowledgement: alarm.acknowledgement,
    comments: [...alarm.comments],
    silencedUntilMs: alarm.silencedUntilMs ?? 0,
    inMaintenance: around.inMaintenance ?? false,
    unreachableHubs: around.unreachableHubs ?? 0,
  };
}

export function maintenanceToProto(maintenance: MaintenanceRecord, active: boolean): Maintenance {
  const { id, customerId, machineId = '', comment, fromMs, untilMs = 0, schedule, planned } = maintenance;
  return { id, customerId, machineId, comment, fromMs, untilMs, schedule, planned, active };
}
