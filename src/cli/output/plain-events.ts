// What `--json` prints of alarms and what belongs to them; as in plain.ts.
import type { Alarm, Audit, Channel, Event, Maintenance, Remark } from '../../client/index.js';
import type { Names } from '../names.js';
import { sensorOf } from './alarm.js';
import { iso } from './times.js';
import { alarmCauseWord, callerWord, machineStateWord, stateWord } from './words.js';

const plainRemark = ({ by, atMs, comment }: Remark) => ({ by, at: iso(atMs), comment: comment || undefined });

export function plainAlarm(alarm: Alarm, names: Names) {
  const sensor = sensorOf(alarm);
  return {
    id: alarm.id,
    customerId: alarm.customerId,
    customer: names.customer(alarm.customerId),
    machineId: alarm.machineId,
    machine: names.machine(alarm.machineId),
    sensorId: alarm.sensorId || undefined,
    sensor: sensor === undefined ? undefined : names.sensor(alarm.machineId, sensor),
    cause: alarmCauseWord(alarm.cause),
    severity: stateWord(alarm.severity),
    message: alarm.message,
    raisedAt: iso(alarm.raisedAtMs),
    changedAt: iso(alarm.changedAtMs),
    closedAt: iso(alarm.closedAtMs),
    acknowledgement: alarm.acknowledgement && plainRemark(alarm.acknowledgement),
    comments: alarm.comments.map(plainRemark),
    silencedUntil: iso(alarm.silencedUntilMs),
    inMaintenance: alarm.inMaintenance,
    unreachableHubs: alarm.unreachableHubs,
  };
}

export const plainMaintenance = (maintenance: Maintenance, names: Names) => ({
  id: maintenance.id,
  customerId: maintenance.customerId,
  customer: names.customer(maintenance.customerId),
  machineId: maintenance.machineId || undefined,
  machine: maintenance.machineId === '' ? undefined : names.machine(maintenance.machineId),
  comment: maintenance.comment,
  from: iso(maintenance.fromMs),
  until: iso(maintenance.untilMs),
  schedule: maintenance.schedule && {
    cron: maintenance.schedule.cron,
    timeZone: maintenance.schedule.timeZone || 'UTC',
    durationMs: maintenance.schedule.durationMs,
  },
  planned: maintenance.planned && plainRemark(maintenance.planned),
  active: maintenance.active,
});

export const plainChannel = (channel: Channel, names: Names) => ({
  id: channel.id,
  customerId: channel.customerId || undefined,
  customer: channel.customerId === '' ? undefined : names.customer(channel.customerId),
  name: channel.name,
  webhook: channel.way?.$case === 'webhook' ? channel.way.value.url : undefined,
  email: channel.way?.$case === 'email' ? channel.way.value.to : undefined,
  minSeverity: stateWord(channel.minSeverity),
  deferMs: channel.deferMs,
  waiting: channel.waiting,
  lastError: channel.lastError || undefined,
});

const plainAudit = (audit: Audit) => ({
  by: audit.by,
  caller: callerWord(audit.caller),
  method: audit.method,
  ids: Object.fromEntries(audit.ids.map(({ field, id }) => [field, id])),
  status: audit.status,
  peer: audit.peer,
});

export function plainEvent({ position, atMs, customerId, what }: Event, names: Names) {
  const head = { position, at: iso(atMs), customerId: customerId || undefined };
  switch (what?.$case) {
    case 'alarm':
      return { ...head, alarm: plainAlarm(what.value, names) };
    case 'machine': {
      const { machineId, before, after } = what.value;
      const [was, is] = [machineStateWord(before), machineStateWord(after)];
      return { ...head, machine: { machineId, machine: names.machine(machineId), before: was, after: is } };
    }
    case 'maintenance':
      return { ...head, maintenance: plainMaintenance(what.value, names) };
    case 'delivery':
      return { ...head, delivery: { ...what.value, error: what.value.error || undefined } };
    case 'audit':
      return { ...head, audit: plainAudit(what.value) };
    default:
      return head;
  }
}
