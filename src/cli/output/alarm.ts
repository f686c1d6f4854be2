// What an alarm is about, in words.
import type { Alarm } from '../../client/index.js';
import type { Names } from '../names.js';

/** The number of its sensor; undefined when it is about the machine. */
export const sensorOf = ({ sensorId }: Alarm): number | undefined =>
  sensorId === '' ? undefined : Number(sensorId.slice(sensorId.lastIndexOf('/') + 1));

/** `Acme/pc/CPU`, or without a sensor. */
export function placeOf(alarm: Alarm, names: Names): string {
  const machine = `${names.customer(alarm.customerId)}/${names.machine(alarm.machineId)}`;
  const sensor = sensorOf(alarm);
  return sensor === undefined ? machine : `${machine}/${names.sensor(alarm.machineId, sensor)}`;
}
