// What an alarm is about, in words.
import type { Alarm, Remark } from '../../client/index.js';
import type { Names } from '../names.js';
import { span } from './times.js';

/** The number of its sensor; undefined when it is about the machine. */
export const sensorOf = ({ sensorId }: Alarm): number | undefined =>
  sensorId === '' ? undefined : Number(sensorId.slice(sensorId.lastIndexOf('/') + 1));

/** `Acme/pc/CPU`, or without a sensor. */
export function placeOf(alarm: Alarm, names: Names): string {
  const machine = `${names.customer(alarm.customerId)}/${names.machine(alarm.machineId)}`;
  const sensor = sensorOf(alarm);
  return sensor === undefined ? machine : `${machine}/${names.sensor(alarm.machineId, sensor)}`;
}

/** Whose token it was, without its id. */
export const speakerOf = ({ by }: Remark): string => by.replace(/ \([^()]*\)$/, '');

const acknowledged = (remark: Remark): string =>
  `acknowledged by ${speakerOf(remark)}${remark.comment === '' ? '' : `: ${remark.comment}`}`;

/** What people and the mesh do about it; empty when it is simply open. */
export function handlingOf(alarm: Alarm, now: number): string {
  if (alarm.closedAtMs !== 0) return `closed after ${span(Math.max(0, alarm.closedAtMs - alarm.raisedAtMs))}`;
  const hubs = alarm.unreachableHubs;
  const parts = [
    alarm.acknowledgement && acknowledged(alarm.acknowledgement),
    alarm.silencedUntilMs > now && `silenced for ${span(alarm.silencedUntilMs - now)}`,
    alarm.inMaintenance && 'in maintenance',
    hubs > 0 && `${hubs} ${hubs === 1 ? 'hub' : 'hubs'} unreachable`,
  ];
  return parts.filter(Boolean).join(', ');
}
