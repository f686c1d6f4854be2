// Retention beside everything else that a cloud does: hub after hub, in small pieces, and the disk gets its space back.
import { type Clock, sleep } from '../../../kernel/clock.js';
import { type Duration, hours, minutes } from '../../../kernel/duration.js';
import { describe } from '../../../kernel/fault.js';
import type { Logger } from '../../../kernel/log.js';
import type { SerialByKey } from '../../../kernel/serial.js';
import { rangeOf } from '../../../storage/keys.js';
import type { Store } from '../../../storage/store.js';
import type { Retention } from '../../inventory/retention.js';
import { tableKey } from '../../tables.js';
import type { HubKey, Ledger } from '../ledger.js';
import { Pace } from '../pace.js';
import { Expirer } from './expire.js';
import { expireHub, type Tally } from './walk.js';

export interface RetentionModules {
  readonly store: Store;
  readonly ledger: Ledger;
  /** Those of merging. */
  readonly turns: SerialByKey;
  readonly clock: Clock;
  readonly log: Logger;
  readonly isBusy: () => boolean;
}

/** A hub, also one that has been retired, and how long its customer keeps readings. */
export interface Keeping {
  readonly hub: HubKey;
  readonly retention: Retention;
}

const FIRST = minutes(1);
const EVERY = hours(6);
/** Deleted readings from which on their space is worth the work. */
const WORTH_RECLAIMING = 200_000;

export class BackgroundRetention {
  /** Readings that went since their hub's space was last given back. */
  readonly #deleted = new Map<string, number>();

  constructor(private readonly modules: RetentionModules) {}

  /** Goes over all hubs now and then, until the signal is aborted. */
  async run(hubs: () => Iterable<Keeping>, signal: AbortSignal, every: Duration = EVERY): Promise<void> {
    const { clock } = this.modules;
    for (let wait = every < FIRST ? every : FIRST; ; wait = every) {
      const aborted = await sleep(clock, wait, signal).then(
        () => false,
        () => true,
      );
      if (aborted) return;
      await this.once(hubs(), signal);
    }
  }

  /** Asks for the next hub only when its turn has come. */
  async once(hubs: Iterable<Keeping>, signal: AbortSignal): Promise<void> {
    const pace = new Pace(this.modules, signal);
    for (const { hub, retention } of hubs) {
      if (signal.aborted) return;
      pace.begin();
      await this.#expire(hub, retention, pace, signal).catch((thrown) => {
        if (signal.aborted) return;
        const machine = hub.machine.toString('hex');
        this.modules.log.warn({ hub: machine, cause: describe(thrown) }, 'readings could not expire: later again');
      });
    }
  }

  async #expire(hub: HubKey, retention: Retention, pace: Pace, signal: AbortSignal): Promise<void> {
    const { store, ledger, clock, log } = this.modules;
    const pause = () => pace.rest();
    const expirer = new Expirer({ ...this.modules, pause });
    const tally = await expireHub({ store, expirer, ledger, pause, signal }, hub, retention, clock.now());
    if (tally.readings + tally.summaries > 0) {
      const [customer, machine] = [hub.customer, hub.machine].map((id) => id.toString('hex'));
      log.info({ customer, hub: machine, ...tally }, 'readings have expired');
    }
    await this.#reclaim(hub, tally);
  }

  async #reclaim({ customer, machine }: HubKey, { readings }: Tally): Promise<void> {
    const name = machine.toString('hex');
    const deleted = (this.#deleted.get(name) ?? 0) + readings;
    this.#deleted.set(name, deleted);
    if (deleted < WORTH_RECLAIMING) return;
    this.#deleted.delete(name);
    for (const table of ['batch', 'series'] as const) {
      await this.modules.store.reclaim(rangeOf(tableKey(customer, table, machine)));
    }
  }
}
