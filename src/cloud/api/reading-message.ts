// Stored readings as callers get them. A reading may have 256 metrics, and take 50 KB.
import { GetLatestResponse, type Reading } from '../../../gen/occmesh/readings/v1/readings.js';
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

/**
 * Readings that many ask for are encoded once, each as a response of its own. Serialised messages of one type, one after
 * another, are one message with all of their items (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
 */
export class EncodedReadings {
  readonly #encoded = new WeakMap<PlacedReading, Uint8Array>();

  /** A message whose field 1 has this reading, whatever message has its readings there. */
  of(machineId: string, placed: PlacedReading): Uint8Array {
    const known = this.#encoded.get(placed);
    if (known) return known;
    const response = { readings: [toProto(machineId, placed)], nextPageToken: '' };
    const encoded = GetLatestResponse.encode(response).finish();
    this.#encoded.set(placed, encoded);
    return encoded;
  }
}
