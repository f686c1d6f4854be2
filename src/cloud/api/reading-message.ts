// Stored readings as callers get them: one by one, and as many in a message as a message may have.
import type { Reading } from '../../../gen/occmesh/readings/v1/readings.js';
import type { PlacedReading } from '../telemetry/latest.js';
import { MAX_PAGE_BYTES } from './paging.js';

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

/** Readings in one message of a stream. */
const MOST_READINGS = 1_000;

/** Divides a stream of readings into messages: a reading may have 256 metrics, and take 50 KB. */
export class MessageFiller {
  #readings: Reading[] = [];
  #bytes = 0;

  /** Returns the message that was full before this reading. */
  add(reading: Reading): Reading[] | undefined {
    const bytes = mostBytesOf(reading);
    const isFull = this.#readings.length === MOST_READINGS || this.#bytes + bytes > MAX_PAGE_BYTES;
    const full = isFull ? this.take() : undefined;
    this.#readings.push(reading);
    this.#bytes += bytes;
    return full;
  }

  /** What has been added since the last full message; undefined when that is nothing. */
  take(): Reading[] | undefined {
    const readings = this.#readings;
    this.#readings = [];
    this.#bytes = 0;
    return readings.length > 0 ? readings : undefined;
  }
}

/** No reading takes more than this when it is encoded. Counting exactly would be to encode it. */
function mostBytesOf({ message, values }: Reading): number {
  let characters = message.length;
  for (const { name, unit } of values) characters += name.length + unit.length;
  return 128 + 3 * characters + 20 * values.length;
}
