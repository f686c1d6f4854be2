// Goes over ranges and merges what should be: around what has just been stored, or everything that a hub has.
import { rangeOf } from '../../../storage/keys.js';
import type { Store } from '../../../storage/store.js';
import { type HeldRange, heldRanges, type Stretch } from '../held.js';
import type { HubKey } from '../ledger.js';
import type { Stored } from './due.js';
import type { Merger } from './merger.js';
import { nextMerge, type Steps } from './plan.js';

const AT_ONCE = 4_096;

export interface WalkModules {
  readonly store: Store;
  readonly merger: Merger;
  readonly steps: Steps;
  readonly signal?: AbortSignal;
  /** Ranges looked at together, at least 3; default: AT_ONCE. */
  readonly atOnce?: number;
}

/** Merges what should be among these flushes and their neighbours. Returns how many merges there were. */
export async function mergeAround(modules: WalkModules, hub: HubKey, stored: Omit<Stored, 'hub'>): Promise<number> {
  const { log, first, end } = stored;
  let from = first;
  for await (const range of heldRanges(modules.store, hub, { log, until: first + 1, reverse: true })) {
    const isLast = range.entry.settled || range.end < from;
    from = range.first;
    if (isLast) break;
  }
  const isBeyond = (range: HeldRange) => range.first >= end && range.entry.settled;
  const stretch = { log, from: { log, first: from } };
  return await mergeAll(modules, hub, await upTo(modules.store, hub, stretch, modules.atOnce ?? AT_ONCE, isBeyond));
}

/** Merges what should be of everything that a hub has; with `anyway` also what is small. Returns how many merges there were. */
export async function mergeHub(modules: WalkModules, hub: HubKey, anyway = false): Promise<number> {
  const { store, signal, atOnce = AT_ONCE } = modules;
  let merges = 0;
  let from: Stretch['from'];
  for (;;) {
    const ranges = await upTo(store, hub, { ...(from && { from }) }, atOnce);
    const isWhole = ranges.length < atOnce;
    if (ranges.length === 0 || signal?.aborted) return merges;
    merges += await mergeAll(modules, hub, ranges, anyway);
    from = isWhole ? { log: rangeOf((ranges[0] as HeldRange).log).until, first: 0 } : resumeAt(ranges);
  }
}

/** Where to go on: at the range before those at the end that may still be merged with what follows. */
function resumeAt(ranges: readonly HeldRange[]): HeldRange {
  const isOpen = (at: number) => !ranges[at]?.entry.settled && ranges[at]?.end === ranges[at + 1]?.first;
  let before = ranges.length - 2;
  while (before > 0 && isOpen(before)) before -= 1;
  // Not at the first one again, unless others have been merged into it.
  return ranges[Math.max(0, before > 0 ? before : ranges.length - 2)] as HeldRange;
}

/** Ranges of one log, at most so many. */
async function upTo(
  store: Store,
  hub: HubKey,
  stretch: Stretch,
  atOnce: number,
  isBeyond: (range: HeldRange) => boolean = () => false,
): Promise<HeldRange[]> {
  const ranges: HeldRange[] = [];
  for await (const range of heldRanges(store, hub, stretch)) {
    if ((ranges[0] && !ranges[0].log.equals(range.log)) || isBeyond(range)) break;
    if (ranges.push(range) === atOnce) break;
  }
  return ranges;
}

async function mergeAll(
  { merger, steps, signal }: WalkModules,
  hub: HubKey,
  ranges: HeldRange[],
  anyway = false,
): Promise<number> {
  for (let merges = 0; ; merges++) {
    const next = signal?.aborted ? undefined : nextMerge(ranges, steps, anyway);
    const result = next && (await merger.merge(hub, next));
    if (!next || !result) return merges;
    ranges.splice(ranges.indexOf(next.parts[0] as HeldRange), next.parts.length, ...result);
  }
}
