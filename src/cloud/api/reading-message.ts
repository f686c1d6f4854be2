// A stored reading as callers get it.
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
