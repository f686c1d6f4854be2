// After a repair: ledger entries and what they stand for belong together, and damage takes one and leaves the other. An
// entry without its batch or one of its blocks would be a promise to hold what is not there, and the hub would never
// send it again; data without an entry could not be found, and may be stored a second time under other boundaries. Where
// damage took the record that something was deleted, it also brings back what had been merged.
import { LedgerEntry, SeriesBlock } from '../../../gen/occmesh/store/v1/store.js';
import { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { rangeOf, readU64be } from '../../storage/keys.js';
import type { Op, Store } from '../../storage/store.js';
import { unpackBatch } from '../../telemetry/batch.js';
import { tableKey } from '../tables.js';
import { entryOf, type HeldRange, heldRanges, isMerged, keyOfRange } from './held.js';
import type { HubKey } from './ledger.js';
import { logsIn } from './logs.js';

export interface Mended {
  /** Ledger entries that were taken back: something of their data is gone, hubs send all of it again. */
  readonly withdrawn: number;
  /** Ledger entries that were made again from their data. */
  readonly entered: number;
  /** Batches and blocks that were removed: what is left of a range, and what had been merged before. */
  readonly removed: number;
}

const OPS_AT_ONCE = 1_000;

/** Puts a store that nobody else uses in order. Faults: storage.*. */
export async function mendTelemetry(store: Store): Promise<Mended> {
  let [withdrawn, entered, removed] = [0, 0, 0];
  for await (const { hub, log } of logsIn(store)) {
    const mending = await lookAt(store, hub, log);
    const { withdraw, enter, remove } = mending;
    const ops: Op[] = [...withdraw, ...remove].map((del) => ({ del }));
    for (const { first, entry } of enter) {
      ops.push({ put: keyOfRange(hub, 'ledger', log, first), value: LedgerEntry.encode(entry).finish() });
    }
    for (let at = 0; at < ops.length; at += OPS_AT_ONCE) {
      const some = ops.slice(at, at + OPS_AT_ONCE);
      await store.commit(() => some);
    }
    withdrawn += withdraw.length;
    entered += enter.length;
    removed += remove.length;
  }
  return { withdrawn, entered, removed };
}

interface Mending {
  /** Keys of entries. */
  readonly withdraw: Buffer[];
  readonly enter: { readonly first: number; readonly entry: LedgerEntry }[];
  /** Keys of data. */
  readonly remove: Buffer[];
}

/** A range that is there as a whole, with or without its entry. */
interface Whole {
  readonly first: number;
  readonly entry: LedgerEntry;
  /** Keys of its data. */
  readonly data: readonly Buffer[];
}

async function lookAt(store: Store, hub: HubKey, log: Buffer): Promise<Mending> {
  const entries = new Map<number, HeldRange>();
  for await (const range of heldRanges(store, hub, { log })) entries.set(range.first, range);
  const remove: Buffer[] = [];
  const whole = [
    ...[...entries.values()]
      .filter(({ entry }) => entry.expired)
      .map(({ first, entry }) => ({ first, entry, data: [] })),
    ...(await wholeBatches(store, hub, log, entries)),
    ...(await wholeBlocks(store, hub, log, entries, remove)),
  ].sort((a, b) => a.first - b.first || b.entry.flushCount - a.entry.flushCount);
  const enter: Mending['enter'] = [];
  let end = 0;
  for (const { first, entry, data } of whole) {
    // Inside of what is there already: it had been merged, or has expired.
    if (first < end) {
      remove.push(...data);
      continue;
    }
    end = first + entry.flushCount;
    if (entries.get(first)?.entry !== entry) enter.push({ first, entry });
    entries.delete(first);
  }
  return { withdraw: [...entries.keys()].map((first) => keyOfRange(hub, 'ledger', log, first)), enter, remove };
}

async function wholeBatches(store: Store, hub: HubKey, log: Buffer, entries: ReadonlyMap<number, HeldRange>) {
  const found: Whole[] = [];
  const prefix = tableKey(hub.customer, 'batch', hub.machine, log);
  for await (const { key, value } of store.entries(rangeOf(prefix))) {
    const first = readU64be(key, prefix.length);
    const known = entries.get(first)?.entry;
    // As it was written with the batch, whose signature and checksum have been verified.
    const entry =
      known && !isMerged(known) && !known.expired ? known : entryOf(unpackBatch(Signed.decode(value).content));
    found.push({ first, entry, data: [key] });
  }
  return found;
}

/** Blocks of ranges of which others are missing go to `remove`. */
async function wholeBlocks(
  store: Store,
  hub: HubKey,
  log: Buffer,
  entries: ReadonlyMap<number, HeldRange>,
  remove: Buffer[],
): Promise<Whole[]> {
  const ranges = new Map<number, { key: Buffer; flushCount: number; entry: LedgerEntry | undefined }[]>();
  const prefix = tableKey(hub.customer, 'series', hub.machine, log);
  for await (const { key, value } of store.entries(rangeOf(prefix))) {
    const first = readU64be(key, prefix.length);
    const { flushCount, entry } = SeriesBlock.decode(value);
    const others = ranges.get(first) ?? [];
    ranges.set(first, others);
    others.push({ key, flushCount, entry });
  }
  const found: Whole[] = [];
  for (const [first, blocks] of ranges) {
    const known = entries.get(first)?.entry;
    const entry = known && isMerged(known) ? known : blocks.find((block) => block.entry)?.entry;
    // Others that begin at the same flush are of what had been merged.
    const own = blocks.filter(({ flushCount }) => flushCount === entry?.flushCount);
    const isWhole = entry !== undefined && own.length === entry.sensorCount;
    if (isWhole) found.push({ first, entry, data: own.map(({ key }) => key) });
    for (const block of blocks) if (!isWhole || !own.includes(block)) remove.push(block.key);
  }
  return found;
}
