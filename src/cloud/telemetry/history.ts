// All that is known of a hub in a range of time, summed up: its readings, and the summaries of those that have expired.
import { turn } from '../../kernel/turn.js';
import type { Store } from '../../storage/store.js';
import { Aggregation, type Buckets } from './aggregate.js';
import type { HubKey, Ledger } from './ledger.js';
import { querySeries } from './query.js';
import { windowsOf } from './summaries/block.js';
import { storedDays, sumsOf } from './summaries/stored.js';

export interface HistoryQuery extends Buckets {
  /** 0 for all sensors. */
  readonly sensor: number;
  /** Of those, which are wanted. */
  readonly wants?: (sensor: number) => boolean;
  /** Called now and then; what it throws ends the query. */
  readonly check?: () => void;
  readonly signal?: AbortSignal;
}

/** Summaries added before others have a turn. */
const AT_ONCE = 16;

/** As of one moment: each reading counts once, whatever expires meanwhile. Faults: api.exhausted, storage.*. */
export function sumUp(
  { store, ledger }: { readonly store: Store; readonly ledger: Ledger },
  hub: HubKey,
  query: HistoryQuery,
): Promise<Aggregation> {
  const { wants = () => true, check = () => undefined } = query;
  return ledger.gate.read(hub.machine, async () => {
    const sums = new Aggregation(query);
    let added = 0;
    for await (const day of storedDays(store, hub, query)) {
      query.signal?.throwIfAborted();
      check();
      if (wants(day.sensor)) sums.merge(sumsOf(day), windowsOf(day.day));
      if (++added % AT_ONCE === 0) await turn();
    }
    for await (const some of querySeries(store, hub, query)) {
      check();
      for (const series of some) if (wants(series.sensor)) sums.add(series);
    }
    return sums;
  });
}
