// What the store holds of a hub's logs, range by range, whichever form a range has: one batch, or series blocks. Ranges
// are merged while others read them: whoever reads goes from entry to data in two steps, and what is no longer there as
// its entry said is found again under the entry that has taken its place.
import { LedgerEntry, SeriesBlock } from '../../../gen/occmesh/store/v1/store.js';
import { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { turn } from '../../kernel/turn.js';
import { rangeOf, readU64be, u32be, u64be } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import { type OpenBatch, unpackBatch } from '../../telemetry/batch.js';
import type { PlacedInBatch, ReadingTable } from '../../telemetry/columns-decode.js';
import type { Flush, Reading } from '../../telemetry/reading.js';
import { tableKey } from '../tables.js';
import type { HubKey } from './ledger.js';
import { openSeries } from './series.js';
import { type Afford, unfoldingCost } from './unfolding.js';

const LOG_BYTES = 16;

/** A ledger entry with its place. */
export interface HeldRange {
  readonly log: Buffer;
  readonly first: number;
  /** One more than its last flush. */
  readonly end: number;
  readonly entry: LedgerEntry;
  /** The entry as it is stored. */
  readonly record: Buffer;
}

/** The entry of a batch. Throws telemetry.malformed. */
export function entryOf(batch: OpenBatch): LedgerEntry {
  const { flushCount, chain, readingCount } = batch.header;
  const table = batch.table();
  const times = table.timeSpan();
  return LedgerEntry.fromPartial({
    flushCount,
    chain,
    readingCount,
    sensorCount: table.sensors.length,
    earliestMs: times?.earliest ?? 0,
    latestMs: times?.latest ?? 0,
  });
}

/** When the latest of its readings was taken; of readings from the future, when that was noticed. */
export const ageOf = ({ agesFromMs, latestMs }: LedgerEntry): number => (agesFromMs === 0 ? latestMs : agesFromMs);

/** What agesFromMs is where these ranges become one. */
export const agesFrom = (entries: readonly LedgerEntry[]): number =>
  entries.some(({ agesFromMs }) => agesFromMs !== 0) ? Math.max(...entries.map(ageOf)) : 0;

/** Whether the range is stored as series blocks. */
export const isMerged = ({ chainBefore }: LedgerEntry): boolean => chainBefore.length > 0;

export const keyOfRange = (hub: HubKey, table: 'ledger' | 'batch' | 'series', log: Uint8Array, first: number): Buffer =>
  tableKey(hub.customer, table, hub.machine, log, u64be(first));

export interface Stretch {
  /** Only what begins at this flush of the log or later, and later logs. */
  readonly from?: { readonly log: Uint8Array; readonly first: number };
  /** Only of this log; of all by default. */
  readonly log?: Uint8Array;
  /** Only what begins before this flush of the log. */
  readonly until?: number;
  readonly reverse?: boolean;
}

/** The ranges of a hub in log order, as of one moment. */
export async function* heldRanges(store: Store, hub: HubKey, stretch: Stretch = {}): AsyncGenerator<HeldRange> {
  const { from, log = Buffer.alloc(0), until, reverse = false } = stretch;
  const at = tableKey(hub.customer, 'ledger', hub.machine).length;
  const range = {
    ...rangeOf(tableKey(hub.customer, 'ledger', hub.machine, log)),
    ...(from && { from: keyOfRange(hub, 'ledger', from.log, from.first) }),
    ...(until !== undefined && { until: keyOfRange(hub, 'ledger', log, until) }),
  };
  for await (const { key, value } of store.entries({ ...range, reverse })) {
    const first = readU64be(key, at + LOG_BYTES);
    const entry = LedgerEntry.decode(value);
    yield {
      log: Buffer.from(key.subarray(at, at + LOG_BYTES)),
      first,
      end: first + entry.flushCount,
      entry,
      record: value,
    };
  }
}

/**
 * The readings of a range: one table of a batch, else one for each sensor, lowest first; of a single `sensor` (0: all of
 * them) no other blocks are read. Undefined when the range has been merged or has expired since: read the ledger again.
 */
export async function openRange(
  store: Store,
  hub: HubKey,
  range: HeldRange,
  sensor = 0,
  afford: Afford = forNothing,
): Promise<ReadingTable[] | undefined> {
  if (range.entry.expired) return [];
  const tables = isMerged(range.entry) ? await openBlocks() : await openBatch();
  if (tables) return tables;
  const record = await store.get(keyOfRange(hub, 'ledger', range.log, range.first));
  // Still as it was: the sensor has nothing here.
  return record?.equals(range.record) ? [] : undefined;

  async function openBatch(): Promise<ReadingTable[] | undefined> {
    const value = await store.get(keyOfRange(hub, 'batch', range.log, range.first));
    if (!value) return undefined;
    const batch = unpackBatch(Signed.decode(value).content);
    await afford(unfoldingCost(batch.header));
    return [batch.table()];
  }

  async function openBlocks(): Promise<ReadingTable[] | undefined> {
    const prefix = keyOfRange(hub, 'series', range.log, range.first);
    const blocks: SeriesBlock[] = [];
    if (sensor === 0) {
      for await (const { value } of store.entries(rangeOf(prefix))) blocks.push(SeriesBlock.decode(value));
    } else {
      const value = await store.get(Buffer.concat([prefix, u32be(sensor)]));
      if (value) blocks.push(SeriesBlock.decode(value));
    }
    // Those of a larger range may begin at the same flush.
    if (blocks.some(({ flushCount }) => flushCount !== range.entry.flushCount)) return undefined;
    if (blocks.length !== (sensor === 0 ? range.entry.sensorCount : 1)) return undefined;
    const tables: ReadingTable[] = [];
    for (const block of blocks) {
      if (tables.length > 0) await turn();
      await afford(unfoldingCost(block));
      tables.push(openSeries(block, range.first));
    }
    return tables;
  }
}

const forNothing = async (): Promise<void> => undefined;

export interface OpenRange {
  readonly range: HeldRange;
  readonly tables: readonly ReadingTable[];
  /** What stands before this flush has been read already. */
  readonly fromFlush: number;
}

/** Flushes `first` … `end`-1 of one log. */
export interface Span {
  readonly log: Buffer;
  readonly first: number;
  readonly end: number;
}

/**
 * Opens the ranges of a hub that are `wanted`, in log order: of what is held when it begins nothing comes twice and
 * nothing is left out, whatever is merged meanwhile. Of a `span` only ranges that touch it, and no others are looked at.
 */
export async function* readRanges(
  store: Store,
  hub: HubKey,
  sensor: number,
  wanted: (range: HeldRange) => boolean,
  span?: Span,
): AsyncGenerator<OpenRange> {
  /** Everything before this flush of the log, and all logs before it, has been read. */
  let done: { readonly log: Buffer; readonly end: number } = {
    log: span?.log ?? Buffer.alloc(LOG_BYTES),
    end: span?.first ?? 0,
  };
  for (let merged = true; merged; ) {
    merged = false;
    const from = { from: { log: done.log, first: span ? ((await rangeAt(store, hub, done))?.first ?? done.end) : 0 } };
    for await (const range of heldRanges(store, hub, span ? { ...from, log: span.log, until: span.end } : from)) {
      const order = Buffer.compare(range.log, done.log);
      if (order < 0 || (order === 0 && range.end <= done.end)) continue;
      if (!range.entry.expired && wanted(range)) {
        const tables = await openRange(store, hub, range, sensor);
        if (!tables) {
          merged = true;
          break;
        }
        if (tables.length > 0) yield { range, tables, fromFlush: order === 0 ? done.end : 0 };
      }
      done = { log: range.log, end: range.end };
    }
    // Merged between the two looks into a range that begins before.
    if (span && done.end < span.end) merged ||= (await rangeAt(store, hub, done)) !== undefined;
  }
}

/** The range in which a flush is, if it is held. */
async function rangeAt(store: Store, hub: HubKey, { log, end: flush }: { log: Buffer; end: number }) {
  for await (const range of heldRanges(store, hub, { log, until: flush + 1, reverse: true }))
    return range.end > flush ? range : undefined;
  return undefined;
}

/** All flushes of a range, of readings that come by sensor. */
export function flushesOf({ first, end }: HeldRange, placed: Iterable<PlacedInBatch>): Flush[] {
  const readings: Reading[][] = Array.from({ length: end - first }, () => []);
  for (const { flush, reading } of placed) readings[flush - first]?.push(reading);
  return readings.map((of, i) => ({ number: first + i, readings: of }));
}

/** Keys of a range: its ledger entry first, then all of its data, which `tables` are. */
export function keysOf(hub: HubKey, { log, first, entry }: HeldRange, tables: readonly ReadingTable[]): Buffer[] {
  const ledger = keyOfRange(hub, 'ledger', log, first);
  if (!isMerged(entry)) return [ledger, keyOfRange(hub, 'batch', log, first)];
  const prefix = keyOfRange(hub, 'series', log, first);
  const sensors = tables.flatMap((table) => table.sensors);
  return [ledger, ...sensors.map((sensor) => Buffer.concat([prefix, u32be(sensor)]))];
}

export const rangeWith = (range: Pick<HeldRange, 'log' | 'first' | 'end'>, entry: LedgerEntry): HeldRange => ({
  ...range,
  entry,
  record: Buffer.from(LedgerEntry.encode(entry).finish()),
});
