// Reading ranges back: the ledger entries say which batches can hold the time asked for, only those are opened.
import { LedgerEntry } from '../../../gen/occmesh/store/v1/store.js';
import { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { rangeOf } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import { type OpenBatch, unpackBatch } from '../../telemetry/batch.js';
import type { SeriesArrays } from '../../telemetry/columns-decode.js';
import { tableKey } from '../tables.js';
import type { PlacedReading } from './latest.js';
import type { HubKey } from './ledger.js';

export interface ReadingsQuery {
  /** 0 for all sensors. */
  readonly sensor: number;
  /** Included, milliseconds since 1970-01-01T00:00:00Z. */
  readonly from: number;
  /** Not included. */
  readonly until: number;
}

/** The readings of a hub in a range of time, batch by batch in log order. */
export async function* queryReadings(store: Store, hub: HubKey, query: ReadingsQuery): AsyncGenerator<PlacedReading[]> {
  for await (const { log, batch } of batches(store, hub, query)) {
    const found = matching(batch, log, query);
    if (found.length > 0) yield found;
  }
}

/** The same as arrays, without an object for each reading; they may hold readings outside of the range of time too. */
export async function* querySeries(store: Store, hub: HubKey, query: ReadingsQuery): AsyncGenerator<SeriesArrays[]> {
  for await (const { batch } of batches(store, hub, query)) yield batch.table().series(query);
}

async function* batches(store: Store, hub: HubKey, query: ReadingsQuery) {
  const prefix = tableKey(hub.customer, 'ledger', hub.machine);
  for await (const { key, value } of store.entries(rangeOf(prefix))) {
    const entry = LedgerEntry.decode(value);
    if (entry.latestMs < query.from || entry.earliestMs >= query.until) continue;
    const place = key.subarray(prefix.length);
    const batch = await store.get(tableKey(hub.customer, 'batch', hub.machine, place));
    // Written in the same commit as its entry; gone only if something merged both in between.
    if (batch) yield { log: Buffer.from(place.subarray(0, 16)), batch: unpackBatch(Signed.decode(batch).content) };
  }
}

function matching(batch: OpenBatch, log: Buffer, { sensor, from, until }: ReadingsQuery): PlacedReading[] {
  const found: PlacedReading[] = [];
  for (const { number: flush, readings } of batch.flushes()) {
    readings.forEach((reading, position) => {
      if (sensor !== 0 && reading.sensor !== sensor) return;
      if (reading.takenAt >= from && reading.takenAt < until) found.push({ reading, log, flush, position });
    });
  }
  return found;
}
