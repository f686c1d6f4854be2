// The order of readings inside Columns: by sensor, and for each sensor as they stand in the log.
import { canonicalOrder, type Flush, type Reading } from './reading.js';

export interface Ordered {
  readonly readings: readonly Reading[];
  /** For each of them: number of its flush minus the first flush. */
  readonly flushes: Uint32Array;
}

/** A counting sort: batches hold few sensors and many readings of each. Keeps the order of a sensor's readings. */
export function bySensor(flushes: readonly Flush[], firstFlush: number): Ordered {
  const [only] = flushes;
  if (only && flushes.length === 1) {
    const readings = canonicalOrder(only.readings);
    return { readings, flushes: new Uint32Array(readings.length).fill(only.number - firstFlush) };
  }
  const perSensor = new Map<number, number>();
  let total = 0;
  for (const flush of flushes) {
    for (const { sensor } of flush.readings) perSensor.set(sensor, (perSensor.get(sensor) ?? 0) + 1);
    total += flush.readings.length;
  }
  const places = new Map<number, number>();
  let place = 0;
  for (const sensor of [...perSensor.keys()].sort((a, b) => a - b)) {
    places.set(sensor, place);
    place += perSensor.get(sensor) ?? 0;
  }
  const readings = new Array<Reading>(total);
  const offsets = new Uint32Array(total);
  for (const flush of flushes) {
    for (const reading of flush.readings) {
      const at = places.get(reading.sensor) ?? 0;
      places.set(reading.sensor, at + 1);
      readings[at] = reading;
      offsets[at] = flush.number - firstFlush;
    }
  }
  return { readings, flushes: offsets };
}
