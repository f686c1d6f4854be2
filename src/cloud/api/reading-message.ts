// Stored readings as callers get them. A reading may have 256 metrics, and take 50 KB.
import type { Reading } from '../../../gen/occmesh/readings/v1/readings.js';
import type { PlacedReading } from '../telemetry/latest.js';

export function toProto(machineId: string, { reading, log, flush, position }: PlacedReading): Reading {
  return {
    machineId,
    sensor: reading.sensor,
    takenAtMs: reading.takenAt,
    state: reading.state,
    message: reading.message,
    values: reading.values.map(({ name, unit, value }) => ({ name, unit, value })),
    id: { log, flush, position },
  };
}

/** No reading takes more than this when it is encoded. Counting exactly would be to encode it. */
export function mostBytesOf({ message, values }: Reading): number {
  let characters = message.length;
  for (const { name, unit } of values) characters += name.length + unit.length;
  return 128 + 3 * characters + 20 * values.length;
}
