// Goes over everything that a hub has, and takes away what is older than it is to be kept.
import type { EpochMs } from '../../../kernel/duration.js';
import { days as daysOf } from '../../../kernel/duration.js';
import type { Store } from '../../../storage/store.js';
import type { Retention } from '../../inventory/retention.js';
import { ageOf, type HeldRange, heldRanges, type Stretch } from '../held.js';
import type { HubKey, Ledger } from '../ledger.js';
import { DAY, dayOf } from '../summaries/block.js';
import { storedDays } from '../summaries/stored.js';
import { daysKept, type Expired, type Expirer } from './expire.js';

export interface WalkModules {
  readonly store: Store;
  readonly expirer: Expirer;
  readonly ledger: Ledger;
  readonly pause: () => Promise<void>;
  readonly signal?: AbortSignal;
  /** Ranges looked at together; default: AT_ONCE. */
  readonly atOnce?: number;
}

export interface Tally {
  /** Readings that are known in sums only now. */
  readings: number;
  /** Readings of which nothing is known any more: taken on days of which no summaries are kept. */
  forgotten: number;
  /** Summaries of a sensor and a day that were old. */
  summaries: number;
}

const AT_ONCE = 512;
/** So far a hub's clock may be ahead before its readings are taken for those of the future. */
const AHEAD = daysOf(1);

export async function expireHub(modules: WalkModules, hub: HubKey, retention: Retention, now: EpochMs): Promise<Tally> {
  const tally: Tally = { readings: 0, forgotten: 0, summaries: 0 };
  let before: HeldRange | undefined;
  let from: Stretch['from'];
  do {
    const ranges = await someRanges(modules, hub, from);
    const last = ranges.at(-1);
    from = last && { log: last.log, first: last.first + 1 };
    for (const range of ranges) {
      if (modules.signal?.aborted) return tally;
      const expiredBefore = before?.entry.expired && follows(before, range) ? before : undefined;
      const done = await step(modules, hub, range, expiredBefore, retention, now);
      tally.readings += done?.readings ?? 0;
      tally.forgotten += done?.forgotten ?? 0;
      before = done?.range;
    }
    await modules.pause();
  } while (from);
  tally.summaries = await forgetSummaries(modules, hub, now - retention.summaries);
  return tally;
}

/** What stands in the range's place now; undefined when something else has changed it: it is left for the next time. */
async function step(
  { expirer }: WalkModules,
  hub: HubKey,
  range: HeldRange,
  before: HeldRange | undefined,
  { raw, summaries }: Retention,
  now: EpochMs,
): Promise<Expired | undefined> {
  if (range.entry.expired) return before ? expirer.join(hub, range, before) : asItIs(range);
  if (ageOf(range.entry) < now - raw) return expirer.expire(hub, range, before, daysKept(now, summaries));
  if (ageOf(range.entry) > now + AHEAD) return expirer.age(hub, range, now);
  return asItIs(range);
}

const asItIs = (range: HeldRange): Expired => ({ range, readings: 0, forgotten: 0 });

const follows = (before: HeldRange, { log, first }: HeldRange): boolean =>
  before.log.equals(log) && before.end === first;

async function someRanges({ store, atOnce = AT_ONCE }: WalkModules, hub: HubKey, from: Stretch['from']) {
  const ranges: HeldRange[] = [];
  for await (const range of heldRanges(store, hub, from ? { from } : {})) if (ranges.push(range) === atOnce) break;
  return ranges;
}

/** Those of days that ended before `until`. Returns how many. */
async function forgetSummaries(
  { store, ledger, pause, signal }: WalkModules,
  hub: HubKey,
  until: number,
): Promise<number> {
  const old = { sensor: 0, from: 0, until: dayOf(until) * DAY };
  let count = 0;
  for (;;) {
    const keys: Buffer[] = [];
    for await (const { key } of storedDays(store, hub, old)) if (keys.push(key) === AT_ONCE) break;
    if (keys.length === 0 || signal?.aborted) return count;
    await ledger.gate.move(hub.machine, () => store.commit(() => keys.map((del) => ({ del }))));
    count += keys.length;
    await pause();
  }
}
