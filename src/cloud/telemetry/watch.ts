// Readings as they are stored, for whoever watches. Each watcher has its own bounded queue: one that does not keep up
// is ended, and nobody else notices. One that comes back is told first what was stored meanwhile, from the store.
import { turn } from '../../kernel/turn.js';
import type { Store } from '../../storage/store.js';
import type { OpenBatch } from '../../telemetry/batch.js';
import { RangeSet } from '../../telemetry/ranges.js';
import { readRanges } from './held.js';
import type { PlacedReading } from './latest.js';
import type { HubKey } from './ledger.js';
import { type RecentBatch, RecentBatches } from './recent.js';

/** A watcher that is this many readings behind is ended … */
export const MOST_BEHIND = 10_000;
/** … or this many values: a reading has a few, but it may have 256. */
const MOST_VALUES_BEHIND = 100_000;
/** Batches that are told again at a time. */
const REPLAYED_AT_ONCE = 256;

export interface WatchedReading extends PlacedReading {
  readonly hub: HubKey;
}

export interface WatchFilter {
  readonly customer?: Buffer;
  readonly machine?: Buffer;
  /** Only these sensors: numbers by machine, hex. */
  readonly sensors?: ReadonlyMap<string, ReadonlySet<number>>;
}

/** Of one hub, or of several, in log order for each hub and lane. */
export interface Watched {
  readonly readings: readonly WatchedReading[];
  /** All that was stored before is told, too, once these are: how many batches that was. Absent: more belongs to it. */
  readonly position?: number;
}

class Watcher {
  #queue: WatchedReading[] = [];
  #values = 0;
  #position = 0;
  #wake: () => void = () => undefined;
  #overrun = false;

  constructor(private readonly filter: WatchFilter) {}

  /** Whether anything of this hub is watched. */
  wants(hub: HubKey): boolean {
    const { customer, machine, sensors } = this.filter;
    if (customer && !customer.equals(hub.customer)) return false;
    if (machine && !machine.equals(hub.machine)) return false;
    return !sensors || sensors.has(hub.machine.toString('hex'));
  }

  /** Of readings of one hub that it wants. */
  chosen(hub: HubKey, readings: readonly WatchedReading[]): readonly WatchedReading[] {
    const numbers = this.filter.sensors?.get(hub.machine.toString('hex'));
    return numbers ? readings.filter(({ reading }) => numbers.has(reading.sensor)) : readings;
  }

  push(readings: readonly WatchedReading[], position: number): void {
    if (this.#overrun || readings.length === 0) return;
    const behind = this.#queue.length;
    for (const { reading } of readings) this.#values += reading.values.length;
    // One batch may hold more: that is nobody's delay.
    if (behind + readings.length > MOST_BEHIND || (behind > 0 && this.#values > MOST_VALUES_BEHIND)) {
      this.#overrun = true;
      this.#queue = [];
    } else {
      this.#queue.push(...readings);
      this.#position = position;
    }
    this.#wake();
  }

  /** What has come since, at least one; 'overrun' when too much did; undefined when aborted. */
  async next(signal: AbortSignal): Promise<Watched | 'overrun' | undefined> {
    if (this.#queue.length === 0 && !this.#overrun && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#wake = wake;
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    if (this.#overrun) return 'overrun';
    if (signal.aborted) return undefined;
    const readings = this.#queue;
    this.#queue = [];
    this.#values = 0;
    return { readings, position: this.#position };
  }
}

export class Watchers {
  readonly #all = new Set<Watcher>();
  readonly #recent: RecentBatches;

  constructor(
    private readonly store: Store,
    mostRecent?: number,
  ) {
    this.#recent = new RecentBatches(mostRecent);
  }

  get size(): number {
    return this.#all.size;
  }

  /** How many batches have been stored since the start. */
  get position(): number {
    return this.#recent.stored;
  }

  stored(hub: HubKey, log: Buffer, batch: Pick<OpenBatch, 'flushes' | 'header'>): void {
    const { firstFlush, flushCount } = batch.header;
    this.#recent.note({ hub, log, first: firstFlush, count: flushCount });
    const watching = [...this.#all].filter((watcher) => watcher.wants(hub));
    if (watching.length === 0) return;
    const readings: WatchedReading[] = [];
    for (const { number: flush, readings: inFlush } of batch.flushes()) {
      inFlush.forEach((reading, position) => {
        readings.push({ hub, reading, log, flush, position });
      });
    }
    for (const watcher of watching) watcher.push(watcher.chosen(hub, readings), this.position);
  }

  /** Whether what was stored since that position can still be told. */
  remembers(position: number): boolean {
    return this.#recent.knows(position);
  }

  /**
   * Yields what was stored after a position (which it remembers; by default nothing that was before), then what is stored
   * from now on, until the signal is aborted; ends early, yielding 'overrun', for a slow watcher.
   */
  async *watch(filter: WatchFilter, signal: AbortSignal, after = this.position): AsyncGenerator<Watched | 'overrun'> {
    const watcher = new Watcher(filter);
    const begin = this.position;
    this.#all.add(watcher);
    try {
      for (let at = after; at < begin; ) {
        const end = Math.min(at + REPLAYED_AT_ONCE, begin);
        const batches = this.#recent.read(at, end - at, filter.customer);
        if (!batches) yield 'overrun';
        if (!batches) return;
        let told = false;
        for await (const readings of this.#replay(watcher, batches)) {
          if (signal.aborted) return;
          told = true;
          yield { readings };
        }
        at = end;
        // Only where it helps: how many there are would tell what others store.
        if (told || at === begin) yield { readings: [], position: at };
        await turn();
        if (signal.aborted) return;
      }
      for (;;) {
        const next = await watcher.next(signal);
        if (next === undefined) return;
        yield next;
        if (next === 'overrun') return;
      }
    } finally {
      this.#all.delete(watcher);
    }
  }

  async *#replay(watcher: Watcher, batches: readonly RecentBatch[]): AsyncGenerator<readonly WatchedReading[]> {
    for (const { hub, logs } of byHub(batches.filter((batch) => watcher.wants(batch.hub)))) {
      for (const [name, flushes] of [...logs].sort(([a], [b]) => (a < b ? -1 : 1))) {
        for await (const readings of this.#replayLog(hub, Buffer.from(name, 'hex'), flushes))
          yield watcher.chosen(hub, readings);
      }
    }
  }

  /** Looks at what these flushes are in, and at nothing else of the log. */
  async *#replayLog(hub: HubKey, log: Buffer, flushes: RangeSet): AsyncGenerator<WatchedReading[]> {
    let told = 0;
    for (const { first, count } of flushes.ranges()) {
      const end = first + count;
      if (end <= told) continue;
      const span = { log, first: Math.max(first, told), end };
      for await (const { range, tables, fromFlush } of readRanges(this.store, hub, 0, () => true, span)) {
        const readings: WatchedReading[] = [];
        for (const table of tables) {
          for (const { reading, flush, position } of table.placed({ fromFlush }))
            if (flushes.has(flush)) readings.push({ hub, reading, log: range.log, flush, position });
          if (tables.length > 1) await turn();
        }
        readings.sort((a, b) => a.flush - b.flush || a.position - b.position);
        told = range.end;
        yield readings;
      }
    }
  }
}

interface HubBatches {
  readonly hub: HubKey;
  /** Flushes by log, hex. */
  readonly logs: Map<string, RangeSet>;
}

function byHub(batches: readonly RecentBatch[]): Iterable<HubBatches> {
  const hubs = new Map<string, HubBatches>();
  for (const { hub, log, first, count } of batches) {
    const name = hub.machine.toString('hex');
    const known = hubs.get(name) ?? { hub, logs: new Map<string, RangeSet>() };
    hubs.set(name, known);
    const flushes = known.logs.get(log.toString('hex')) ?? new RangeSet();
    known.logs.set(log.toString('hex'), flushes);
    flushes.add({ first, count });
  }
  return hubs.values();
}
