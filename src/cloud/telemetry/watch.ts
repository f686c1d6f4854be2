// Readings as they are stored, for whoever watches. Each watcher has its own bounded queue: one that does not keep up
// is ended, and nobody else notices.
import type { OpenBatch } from '../../telemetry/batch.js';
import type { PlacedReading } from './latest.js';
import type { HubKey } from './ledger.js';

/** A watcher that is this many readings behind is ended … */
export const MOST_BEHIND = 10_000;
/** … or this many values: a reading has a few, but it may have 256. */
const MOST_VALUES_BEHIND = 100_000;

export interface WatchedReading extends PlacedReading {
  readonly hub: HubKey;
}

export interface WatchFilter {
  readonly customer?: Buffer;
  readonly machine?: Buffer;
}

class Watcher {
  #queue: WatchedReading[] = [];
  #values = 0;
  #wake: () => void = () => undefined;
  #overrun = false;

  constructor(readonly filter: WatchFilter) {}

  /** `values`: how many they have. */
  push(readings: readonly WatchedReading[], values: number): void {
    if (this.#overrun) return;
    const behind = this.#queue.length;
    this.#values += values;
    // One batch may hold more: that is nobody's delay.
    if (behind + readings.length > MOST_BEHIND || (behind > 0 && this.#values > MOST_VALUES_BEHIND)) {
      this.#overrun = true;
      this.#queue = [];
    } else {
      this.#queue.push(...readings);
    }
    this.#wake();
  }

  /** What has come since, at least one; 'overrun' when too much did; undefined when aborted. */
  async next(signal: AbortSignal): Promise<readonly WatchedReading[] | 'overrun' | undefined> {
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
    return readings;
  }
}

export class Watchers {
  readonly #all = new Set<Watcher>();

  get size(): number {
    return this.#all.size;
  }

  stored(hub: HubKey, log: Buffer, batch: Pick<OpenBatch, 'flushes'>): void {
    const watching = [...this.#all].filter(({ filter: { customer, machine } }) => {
      return (!customer || customer.equals(hub.customer)) && (!machine || machine.equals(hub.machine));
    });
    if (watching.length === 0) return;
    const readings: WatchedReading[] = [];
    let values = 0;
    for (const { number: flush, readings: inFlush } of batch.flushes()) {
      inFlush.forEach((reading, position) => {
        readings.push({ hub, reading, log, flush, position });
        values += reading.values.length;
      });
    }
    for (const watcher of watching) watcher.push(readings, values);
  }

  /** Yields what is stored from now on until the signal is aborted; ends early, yielding 'overrun', for a slow watcher. */
  async *watch(filter: WatchFilter, signal: AbortSignal): AsyncGenerator<readonly WatchedReading[] | 'overrun'> {
    const watcher = new Watcher(filter);
    this.#all.add(watcher);
    try {
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
}
