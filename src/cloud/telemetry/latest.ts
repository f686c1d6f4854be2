// The latest reading of every sensor, in memory. "Latest" follows log order, not the clock: a log with a later birth is
// later, in a log the higher flush, in a flush the higher position.
import { turn } from '../../kernel/turn.js';
import type { Store } from '../../storage/store.js';
import type { OpenBatch } from '../../telemetry/batch.js';
import type { Reading } from '../../telemetry/reading.js';
import { heldRanges, isMerged, openRange } from './held.js';
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
   * Reads a hub's latest values back from the store after a start: newest ranges first, until every one of `sensors`
   * has been seen or there is nothing more.
   */
  async load(hub: HubKey, store: Store, sensors: ReadonlySet<number>): Promise<void> {
    while (!(await this.#tryLoad(hub, store, sensors))) await turn();
  }

  /** False when ranges were merged meanwhile. */
  async #tryLoad(hub: HubKey, store: Store, sensors: ReadonlySet<number>): Promise<boolean> {
    const missing = new Set(sensors);
    let left = MOST_RANGES;
    for await (const range of heldRanges(store, hub, { reverse: true })) {
      // Of series blocks only those that are needed.
      for (const sensor of isMerged(range.entry) ? [...missing] : [0]) {
        const tables = await openRange(store, hub, range, sensor);
        if (!tables) return false;
        for (const table of tables) {
          this.stored(hub, range.log, table);
          for (const { reading } of table.latest()) missing.delete(reading.sensor);
        }
      }
      left -= 1;
      if (missing.size === 0 || left === 0) return true;
    }
    return true;
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
/** Of all of them together: a reading has a few, but it may have 256. */
const MOST_VALUES = 16_384;

/** The latest readings of one hub. */
class HubSensors {
  readonly #readings = new Map<number, PlacedReading>();
  /** Their numbers, ascending; undefined when another has come or gone. */
  #order: readonly number[] | undefined;
  #values = 0;

  take(placed: PlacedReading): void {
    const { sensor } = placed.reading;
    const known = this.#readings.get(sensor);
    if (known && !isLater(placed, known)) return;
    if (known) this.#forget(sensor, known);
    this.#makeRoom(placed);
    this.#readings.set(sensor, placed);
    this.#values += placed.reading.values.length;
    if (!known) this.#order = undefined;
  }

  sorted(): PlacedReading[] {
    this.#order ??= [...this.#readings.keys()].sort((a, b) => a - b);
    return this.#order.map((sensor) => this.#readings.get(sensor) as PlacedReading);
  }

  /** Those that have been silent for longest go. */
  #makeRoom({ reading }: PlacedReading): void {
    for (const [sensor, placed] of this.#readings) {
      const fits = this.#values + reading.values.length <= MOST_VALUES;
      if (fits && this.#readings.size < MOST_SENSORS) return;
      this.#forget(sensor, placed);
      this.#order = undefined;
    }
  }

  #forget(sensor: number, { reading }: PlacedReading): void {
    this.#readings.delete(sensor);
    this.#values -= reading.values.length;
  }
}

/** A sensor that has said nothing in so many of the newest ranges is not looked for at a start. */
const MOST_RANGES = 500;
