// Which readings of a hub are known to be missing, and when they were taken at the most: the ledger knows the flushes, and
// what stands around them in the store bounds the time.
import type { FlushRange } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { GapReason } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { turn } from '../../kernel/turn.js';
import type { Store } from '../../storage/store.js';
import { RangeSet } from '../../telemetry/ranges.js';
import { heldRanges } from './held.js';
import type { HubKey, HubLedger, LogState } from './ledger.js';

export interface MissingFlushes {
  readonly log: Buffer;
  readonly flushes: FlushRange;
  /** UNSPECIFIED: not lost, but not here yet. */
  readonly reason: GapReason;
  /** By the hub's clock, both included. */
  readonly from: number;
  readonly until: number;
}

export interface LostFlushes {
  readonly gap: LogState['gaps'][number];
  readonly flushes: FlushRange;
}

/** Where several gaps speak of the same flushes, the first one recorded counts. */
export function lostIn(state: LogState): LostFlushes[] {
  const lost: LostFlushes[] = [];
  const told = new RangeSet();
  for (const gap of state.gaps) {
    const range = RangeSet.from([gap]).subtract(state.held.within(gap)).subtract(told.within(gap));
    for (const flushes of range.toProto()) lost.push({ gap, flushes });
    told.addAll(range);
  }
  return lost;
}

/** In the order of the logs. Nothing is read from the store of a hub that misses nothing. `now`: by the hub's clock. */
export async function* missingFlushes(
  store: Store,
  hub: HubKey,
  ledger: HubLedger,
  now: number,
): AsyncGenerator<MissingFlushes> {
  const logs = ledger.all().sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [i, [, state]] of logs.entries()) {
    const missing = [
      ...lostIn(state).map(({ gap, flushes }) => ({ flushes, reason: gap.reason, noticed: gap.noticedAtMs })),
      ...outstandingIn(state).map((flushes) => ({ flushes, reason: GapReason.UNSPECIFIED, noticed: now })),
    ].sort((a, b) => a.flushes.first - b.flushes.first);
    const next = logs[i + 1]?.[1].id;
    for (const { flushes, reason, noticed } of missing) {
      const end = flushes.first + flushes.count;
      const before = await nearest(store, hub, { log: state.id, until: flushes.first, reverse: true });
      const after = await nearest(store, hub, { log: state.id, from: { log: state.id, first: end } });
      const from = before?.latestMs ?? birthOf(state.id);
      const bound = after?.earliestMs ?? (next ? birthOf(next) : now);
      // What was noticed to be gone had been taken before. The clock may have been set back in between.
      const until = noticed > from ? Math.min(bound, noticed) : bound;
      yield { log: state.id, flushes, reason, from: Math.min(from, until), until: Math.max(from, until) };
      await turn();
    }
  }
}

function outstandingIn(state: LogState): FlushRange[] {
  return RangeSet.span(0, state.announced).subtract(state.held).subtract(state.lost).toProto();
}

async function nearest(store: Store, hub: HubKey, stretch: Parameters<typeof heldRanges>[2]) {
  for await (const { entry } of heldRanges(store, hub, stretch)) return entry;
  return undefined;
}

/** Names of logs begin with their birth, as UUIDs of version 7 do. */
const birthOf = (log: Buffer): number => log.readUIntBE(0, 6);
