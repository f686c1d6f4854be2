// Merging beside everything else that a cloud does: one merge at a time, in pieces of some milliseconds.
import { type Clock, sleep } from '../../../kernel/clock.js';
import { defined } from '../../../kernel/defined.js';
import { minutes } from '../../../kernel/duration.js';
import { describe } from '../../../kernel/fault.js';
import type { Logger } from '../../../kernel/log.js';
import type { SerialByKey } from '../../../kernel/serial.js';
import type { Store } from '../../../storage/store.js';
import type { OpenBatch } from '../../../telemetry/batch.js';
import type { HubKey } from '../ledger.js';
import { Pace } from '../pace.js';
import { Due } from './due.js';
import { Merger } from './merger.js';
import { STEPS, type Steps } from './plan.js';
import { mergeAround, mergeHub } from './walk.js';

export interface BackgroundModules {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether batches are coming in right now. */
  readonly isBusy: () => boolean;
  /** See MergerModules. */
  readonly turns?: SerialByKey;
}

const RETRY = minutes(1);

export class BackgroundMerging {
  readonly #due: Due;

  constructor(
    private readonly modules: BackgroundModules,
    private readonly steps: Steps = STEPS,
  ) {
    this.#due = new Due(steps);
  }

  /** Takes in what was just stored. */
  stored(hub: HubKey, log: Buffer, batch: Pick<OpenBatch, 'header' | 'table'>): void {
    this.#due.stored(hub, log, batch);
  }

  /** Merges what was left of these hubs, then whatever becomes due, until the signal is aborted. */
  async run(hubs: Iterable<{ readonly hub: HubKey }>, signal: AbortSignal): Promise<void> {
    const pace = new Pace(this.modules, signal);
    const { store, turns } = this.modules;
    const merger = new Merger({ store, pause: () => pace.rest(), ...defined({ turns }) }, this.steps);
    const walk = { store, merger, signal, steps: this.steps };
    for (const { hub } of hubs) {
      if (signal.aborted) return;
      await pace.rest();
      await this.#attempt(hub, () => mergeHub(walk, hub), signal);
    }
    while (!signal.aborted) {
      await this.#due.wait(signal);
      pace.begin();
      const stored = this.#due.take();
      if (stored) await this.#attempt(stored.hub, () => mergeAround(walk, stored.hub, stored), signal);
    }
  }

  /** What goes wrong has changed nothing, and is left for the next time. */
  async #attempt(hub: HubKey, merge: () => Promise<number>, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.modules;
    try {
      await merge();
    } catch (thrown) {
      if (signal.aborted) return;
      log.warn({ hub: hub.machine.toString('hex'), cause: describe(thrown) }, 'readings could not be merged');
      await sleep(clock, RETRY, signal).catch(() => undefined);
    }
  }
}
