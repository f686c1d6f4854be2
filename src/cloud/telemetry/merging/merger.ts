// Merges neighbouring ranges of a log into one: their readings by sensor, in one commit with the ledger entry that takes
// the place of theirs. Nothing that is read of the store changes by it, but how.
import type { LedgerEntry } from '../../../../gen/occmesh/store/v1/store.js';
import { SerialByKey } from '../../../kernel/serial.js';
import { turn } from '../../../kernel/turn.js';
import { u32be } from '../../../storage/keys.js';
import type { Op, Store } from '../../../storage/store.js';
import type { PlacedInBatch, ReadingTable } from '../../../telemetry/columns-decode.js';
import { chainsAfter } from '../chains.js';
import { agesFrom, flushesOf, type HeldRange, isMerged, keyOfRange, keysOf, openRange, rangeWith } from '../held.js';
import type { HubKey } from '../ledger.js';
import { packSeries, RANGE_LIMITS } from '../series.js';
import { hasReachedLast, type Merge, type Steps } from './plan.js';

/** Twice what a hub may have at a time. */
const MOST_SENSORS = 2_000;
/** Characters of messages in memory. */
const MOST_TEXT = 4 * 1_024 ** 2;

export interface MergerModules {
  readonly store: Store;
  /** Called between two pieces of work that take some milliseconds each. Default: everybody else has a turn. */
  readonly pause?: () => Promise<void>;
  /** Whoever else changes ranges takes turns with merging. */
  readonly turns?: SerialByKey;
}

/** What has been taken together so far. */
interface Gathered {
  readonly parts: HeldRange[];
  readonly sensors: Map<number, PlacedInBatch[]>;
  /** Keys of everything that goes. */
  readonly gone: Buffer[];
  flushes: number;
  readings: number;
  values: number;
  text: number;
}

type End = 'all taken' | 'full' | 'apart' | 'changed';

export class Merger {
  readonly #store: Store;
  readonly #pause: () => Promise<void>;
  readonly #turns: SerialByKey;

  constructor(
    modules: MergerModules,
    private readonly steps: Steps,
  ) {
    this.#store = modules.store;
    this.#pause = modules.pause ?? turn;
    this.#turns = modules.turns ?? new SerialByKey();
  }

  /**
   * Merges as many of the parts as go together. Returns what stands in their place now; undefined when something else
   * has changed them, or a write has failed meanwhile: read the ledger again. Faults: storage.*.
   */
  merge(hub: HubKey, merge: Merge): Promise<HeldRange[] | undefined> {
    return this.#turns.run(hub.machine.toString('hex'), () => this.#merge(hub, merge));
  }

  async #merge(hub: HubKey, { parts, start }: Merge): Promise<HeldRange[] | undefined> {
    let reset = false;
    const forget = this.#store.onReset(async () => {
      reset = true;
    });
    try {
      const { gathered, end } = await this.#gather(hub, parts, start);
      if (end === 'changed') return undefined;
      const taken = gathered.parts.length;
      const rest = parts.slice(taken);
      const result: HeldRange[] = [];
      const ops: Op[] = [];
      const settle = (range: HeldRange) => {
        const settled = rangeWith(range, { ...range.entry, settled: true });
        ops.push({ put: keyOfRange(hub, 'ledger', range.log, range.first), value: settled.record });
        return settled;
      };
      if (taken > 1) {
        const merged = this.#mergedRange(gathered, start, end === 'full');
        ops.push(...(await this.#replace(hub, gathered, merged)));
        result.push(merged);
      } else if (taken === 1) {
        result.push(...gathered.parts.map(end === 'full' ? settle : (range) => range));
      }
      const [next] = rest;
      // It cannot follow, or is too large by itself: nobody tries again.
      if (next && (end === 'apart' || taken === 0)) result.push(settle(next), ...rest.slice(1));
      else result.push(...rest);
      let written = false;
      await this.#store.commit(() => {
        // What a failed write took back may be among what was read.
        if (reset) return undefined;
        written = true;
        return ops;
      });
      return written ? result : undefined;
    } finally {
      forget();
    }
  }

  async #gather(hub: HubKey, parts: readonly HeldRange[], start: Buffer): Promise<{ gathered: Gathered; end: End }> {
    const gathered: Gathered = {
      ...{ parts: [], sensors: new Map(), gone: [] },
      ...{ flushes: 0, readings: 0, values: 0, text: 0 },
    };
    let chain = start;
    for (const part of parts) {
      const tables = await openRange(this.#store, hub, part);
      if (!tables || tables.length === 0) return { gathered, end: 'changed' };
      await this.#pause();
      if (!hasRoom(gathered, part, tables)) return { gathered, end: 'full' };
      const placed = tables.flatMap((table) => [...table.placed()]);
      if (!(await follows(part, chain, placed))) return { gathered, end: 'apart' };
      take(gathered, hub, part, tables, placed);
      chain = Buffer.from(part.entry.chain);
      await this.#pause();
    }
    return { gathered, end: 'all taken' };
  }

  #mergedRange({ parts, sensors, flushes, readings }: Gathered, start: Buffer, full: boolean): HeldRange {
    const entries = parts.map(({ entry }) => entry);
    const [first] = parts as [HeldRange];
    const entry: LedgerEntry = {
      flushCount: flushes,
      chain: entries.at(-1)?.chain ?? start,
      readingCount: readings,
      earliestMs: Math.min(...entries.map(({ earliestMs }) => earliestMs)),
      latestMs: Math.max(...entries.map(({ latestMs }) => latestMs)),
      sensorCount: sensors.size,
      chainBefore: start,
      settled: full || hasReachedLast(readings, sensors.size, this.steps),
      expired: false,
      agesFromMs: agesFrom(entries),
    };
    return rangeWith({ log: first.log, first: first.first, end: first.first + flushes }, entry);
  }

  async #replace(hub: HubKey, { sensors, gone }: Gathered, merged: HeldRange): Promise<Op[]> {
    const { log, first, entry, record } = merged;
    const puts = [{ put: keyOfRange(hub, 'ledger', log, first), value: record as Uint8Array }];
    const prefix = keyOfRange(hub, 'series', log, first);
    const range = { first, count: entry.flushCount };
    const lowest = Math.min(...sensors.keys());
    for (const [sensor, readings] of sensors) {
      const value = packSeries(readings, range, sensor === lowest ? entry : undefined);
      puts.push({ put: Buffer.concat([prefix, u32be(sensor)]), value });
      await this.#pause();
    }
    const kept = new Set(puts.map(({ put }) => put.toString('latin1')));
    return [...gone.filter((key) => !kept.has(key.toString('latin1'))).map((del) => ({ del })), ...puts];
  }
}

/** Whether the part's flushes lead from this chain to its own. */
async function follows({ entry, ...range }: HeldRange, chain: Buffer, placed: PlacedInBatch[]): Promise<boolean> {
  // Has been seen before, when its readings were merged.
  if (isMerged(entry)) return chain.equals(entry.chainBefore);
  const chains = await chainsAfter(chain, flushesOf({ ...range, entry }, placed));
  return chains.at(-1)?.equals(entry.chain) ?? false;
}

function hasRoom(gathered: Gathered, part: HeldRange, tables: readonly ReadingTable[]): boolean {
  const sum = (of: (table: ReadingTable) => number) => tables.reduce((total, table) => total + of(table), 0);
  const isNew = (sensor: number) => !gathered.sensors.has(sensor);
  const sensors = tables.flatMap((table) => table.sensors).filter(isNew).length;
  return (
    gathered.flushes + part.entry.flushCount <= RANGE_LIMITS.flushes &&
    gathered.readings + part.entry.readingCount <= RANGE_LIMITS.readings &&
    gathered.values + sum(({ valueCount }) => valueCount) <= RANGE_LIMITS.values &&
    gathered.text + sum(({ textLength }) => textLength) <= MOST_TEXT &&
    gathered.sensors.size + sensors <= MOST_SENSORS
  );
}

function take(
  gathered: Gathered,
  hub: HubKey,
  part: HeldRange,
  tables: readonly ReadingTable[],
  placed: readonly PlacedInBatch[],
): void {
  for (const one of placed) {
    const others = gathered.sensors.get(one.reading.sensor);
    if (others) others.push(one);
    else gathered.sensors.set(one.reading.sensor, [one]);
  }
  for (const table of tables) {
    gathered.values += table.valueCount;
    gathered.text += table.textLength;
  }
  gathered.parts.push(part);
  gathered.flushes += part.entry.flushCount;
  gathered.readings += placed.length;
  gathered.gone.push(...keysOf(hub, part, tables));
}
