// Reading ranges of time back: the ledger entries say where they can be, and only that is opened; of one sensor, where
// ranges have been merged, only its own blocks.
import { turn } from '../../kernel/turn.js';
import type { Store } from '../../storage/store.js';
import type { SeriesArrays } from '../../telemetry/columns-decode.js';
import { type HeldRange, type OpenRange, readRanges } from './held.js';
import type { PlacedReading } from './latest.js';
import type { HubKey } from './ledger.js';

export interface ReadingsQuery {
  /** 0 for all sensors. */
  readonly sensor: number;
  /** Included, milliseconds since 1970-01-01T00:00:00Z. */
  readonly from: number;
  /** Not included. */
  readonly until: number;
  /** Ends the search with its reason, also while nothing is found. */
  readonly signal?: AbortSignal;
}

/** Readings handed out at once. */
const AT_ONCE = 1_000;

/** The readings of a hub in a range of time, some at a time, in log order. */
export async function* queryReadings(store: Store, hub: HubKey, query: ReadingsQuery): AsyncGenerator<PlacedReading[]> {
  for await (const open of readRanges(store, hub, query.sensor, (range) => isWanted(range, query))) {
    const found = await matching(open, query);
    for (let at = 0; at < found.length; at += AT_ONCE) yield found.slice(at, at + AT_ONCE);
  }
}

/** The same as arrays, without an object for each reading; they may hold readings outside of the range of time too. */
export async function* querySeries(store: Store, hub: HubKey, query: ReadingsQuery): AsyncGenerator<SeriesArrays[]> {
  for await (const { tables, fromFlush } of readRanges(store, hub, query.sensor, (range) => isWanted(range, query))) {
    yield tables.flatMap((table) => table.series({ sensor: query.sensor, fromFlush }));
  }
}

function isWanted({ entry }: HeldRange, { from, until, signal }: ReadingsQuery): boolean {
  signal?.throwIfAborted();
  return entry.latestMs >= from && entry.earliestMs < until;
}

async function matching({ range, tables, fromFlush }: OpenRange, query: ReadingsQuery): Promise<PlacedReading[]> {
  const byFlush = new Map<number, PlacedReading[]>();
  for (const table of tables) {
    for (const { reading, flush, position } of table.placed({ ...query, fromFlush })) {
      const placed = { reading, log: range.log, flush, position };
      const others = byFlush.get(flush);
      if (others) others.push(placed);
      else byFlush.set(flush, [placed]);
    }
    if (tables.length > 1) await turn();
  }
  return [...byFlush.keys()].sort((a, b) => a - b).flatMap((flush) => byFlush.get(flush) ?? []);
}
