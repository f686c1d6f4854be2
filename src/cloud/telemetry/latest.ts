// The latest reading of every sensor, in memory. "Latest" follows log order, not the clock: a log with a later birth is
// later, in a log the higher flush, in a flush the higher position.

import { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { rangeOf } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import { type OpenBatch, unpackBatch } from '../../telemetry/batch.js';
import type { Reading } from '../../telemetry/reading.js';
import { tableKey } from '../tables.js';
import type { HubKey } from './ledger.js';

/** A reading with its identity. */
export interface PlacedReading {
  readonly reading: Reading;
  readonly log: Buffer;
  readonly flush: number;
  readonly position: number;
}

const isLater = (a: PlacedReading, b: PlacedReading): boolean => {
  const byLog = Buffer.compare(a.log, b.log);
  if (byLog !== 0) return byLog > 0;
  if (a.flush !== b.flush) return a.flush > b.flush;
  return a.position > b.position;
};

export class LatestReadings {
  readonly #hubs = new Map<string, HubSensors>();

  /** Takes in what was just stored, live or backlog. */
  stored(hub: HubKey, log: Buffer, batch: Pick<OpenBatch, 'latest'>): void {
    const sensors = this.#sensors(hub);
    for (const { reading, flush, position } of batch.latest()) {
      sensors.take({ reading, log, flush, position });
    }
  }

  /** By sensor number. */
  of(hub: HubKey): PlacedReading[] {
    return this.#hubs.get(hub.machine.toString('hex'))?.sorted() ?? [];
  }

  /**
   * Reads a hub's latest values back from the store after a start: newest batches first, until every one of `sensors`
   * has been seen or there is nothing more.
   */
  async load(hub: HubKey, store: Store, sensors: ReadonlySet<number>): Promise<void> {
    const missing = new Set(sensors);
    const range = { ...rangeOf(tableKey(hub.customer, 'batch', hub.machine)), reverse: true, limit: MOST_BATCHES };
    for await (const { key, value } of store.entries(range)) {
      const log = Buffer.from(key.subarray(-24, -8));
      const batch = unpackBatch(Signed.decode(value).content);
      this.stored(hub, log, batch);
      for (const { reading } of batch.latest()) missing.delete(reading.sensor);
      if (missing.size === 0) return;
    }
  }

  #sensors(hub: HubKey): HubSensors {
    const name = hub.machine.toString('hex');
    let sensors = this.#hubs.get(name);
    if (!sensors) {
      sensors = new HubSensors();
      this.#hubs.set(name, sensors);
    }
    return sensors;
  }
}

/** Twice what a hub may have at a time. The numbers come from the hub, and there are four thousand million of them. */
const MOST_SENSORS = 2_000;

/** The latest readings of one hub. */
class HubSensors {
  readonly #readings = new Map<number, PlacedReading>();
  /** Their numbers, ascending; undefined when another has come or gone. */
  #order: readonly number[] | undefined;

  take(placed: PlacedReading): void {
    const { sensor } = placed.reading;
    const known = this.#readings.get(sensor);
    if (known && !isLater(placed, known)) return;
    if (!known) this.#makeRoom();
    this.#readings.set(sensor, placed);
  }

  sorted(): PlacedReading[] {
    this.#order ??= [...this.#readings.keys()].sort((a, b) => a - b);
    return this.#order.map((sensor) => this.#readings.get(sensor) as PlacedReading);
  }

  /** For one more sensor. */
  #makeRoom(): void {
    this.#order = undefined;
    if (this.#readings.size < MOST_SENSORS) return;
    const [first] = this.#readings.keys();
    if (first !== undefined) this.#readings.delete(first);
  }
}

/** A sensor that has said nothing for this many batches is not looked for at a start. */
const MOST_BATCHES = 500;
