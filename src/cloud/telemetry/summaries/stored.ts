// Summaries in the store: found by sensor and time, removed when they are old.
import { rangeOf, readU32be, readU64be, u32be, u64be } from '../../../storage/keys.js';
import type { Store } from '../../../storage/store.js';
import { MAX_SENSOR } from '../../../telemetry/reading.js';
import { tableKey } from '../../tables.js';
import type { SensorSums } from '../aggregate.js';
import type { HubKey } from '../ledger.js';
import { dayOf, openSummaries } from './block.js';

export const summaryKey = (hub: HubKey, sensor: number, day: number): Buffer =>
  tableKey(hub.customer, 'summary', hub.machine, u32be(sensor), u64be(day));

/** Summaries of a sensor on a day. */
export interface StoredDay {
  readonly sensor: number;
  readonly day: number;
  readonly key: Buffer;
  readonly value: Buffer;
}

/** Which summaries: of one sensor (0: of all), of days that touch a range of time. */
export interface DaysQuery {
  readonly sensor: number;
  readonly from: number;
  readonly until: number;
}

/** By sensor, then day. Passes by what lies outside of the range without reading it. */
export async function* storedDays(
  store: Store,
  hub: HubKey,
  { sensor, from, until }: DaysQuery,
): AsyncGenerator<StoredDay> {
  const [first, end] = [Math.max(0, dayOf(from)), dayOf(until - 1) + 1];
  if (end <= first) return;
  for (let of: number | undefined = sensor; ; ) {
    if (sensor === 0) of = await nextSensor(store, hub, of);
    if (of === undefined) return;
    for await (const { key, value } of store.entries({
      from: summaryKey(hub, of, first),
      until: summaryKey(hub, of, end),
    })) {
      yield { sensor: of, day: readU64be(key, key.length - 8), key, value };
    }
    if (sensor !== 0 || of === MAX_SENSOR) return;
    of += 1;
  }
}

export const sumsOf = ({ value, sensor, day }: StoredDay): SensorSums => openSummaries(value, sensor, day);

/** The lowest number from `from` on of which there is a summary. */
async function nextSensor(store: Store, hub: HubKey, from: number): Promise<number | undefined> {
  const table = tableKey(hub.customer, 'summary', hub.machine);
  const range = { from: Buffer.concat([table, u32be(from)]), until: rangeOf(table).until, limit: 1 };
  for await (const { key } of store.entries(range)) return readU32be(key, table.length);
  return undefined;
}
