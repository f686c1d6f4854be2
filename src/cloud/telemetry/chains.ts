// The running digests of flushes that are held, computed again from their readings. Inside a batch they are known only
// where what comes before it is held and leads to what its author says.
import type { FlushDigest } from '../../../gen/occmesh/link/v1/link.js';
import { turn } from '../../kernel/turn.js';
import type { Store } from '../../storage/store.js';
import { valuesOf } from '../../telemetry/batch.js';
import { chainNext, chainStart, flushDigest } from '../../telemetry/chain.js';
import type { Flush } from '../../telemetry/reading.js';
import { ageOf, flushesOf, type HeldRange, heldRanges, isMerged, openRange } from './held.js';
import type { HubKey } from './ledger.js';
import type { Afford } from './unfolding.js';

/** Readings and values digested before others have a turn. */
const AT_ONCE = 8_192;

/**
 * For each held flush of `first` … `end`-1: the chain after it (16 bytes), or where that is unknown the digest of the
 * flush alone (32 bytes); of what has expired, until when it was taken. Whatever has to be unfolded for that is paid for first.
 */
export async function digestsOf(
  store: Store,
  hub: HubKey,
  log: Uint8Array,
  first: number,
  end: number,
  afford: Afford,
): Promise<FlushDigest[]> {
  for (;;) {
    const digests = await tryDigests(store, hub, log, first, end, afford);
    if (digests) return digests;
  }
}

/** Undefined when ranges were merged meanwhile. */
async function tryDigests(
  store: Store,
  hub: HubKey,
  log: Uint8Array,
  first: number,
  end: number,
  afford: Afford,
): Promise<FlushDigest[] | undefined> {
  const digests: FlushDigest[] = [];
  let before: Buffer | undefined;
  let heldUntil = -1;
  for (const range of await touching(store, hub, log, first, end)) {
    if (range.end > first) {
      const start = range.first === 0 ? chainStart(log) : range.first === heldUntil ? before : undefined;
      const some = await digestRange(store, hub, range, { first, end, start, afford });
      if (!some) return undefined;
      digests.push(...some);
    }
    before = Buffer.from(range.entry.chain);
    heldUntil = range.end;
  }
  return digests;
}

/** The ranges that touch `first` … `end`-1, and up to two before them, as of one moment. */
async function touching(store: Store, hub: HubKey, log: Uint8Array, first: number, end: number): Promise<HeldRange[]> {
  const ranges: HeldRange[] = [];
  let before = 0;
  for await (const range of heldRanges(store, hub, { log, until: end, reverse: true })) {
    ranges.unshift(range);
    // The last one that begins at or before `first` may reach into the range; the chain before it is that of another.
    if (range.first <= first && ++before === 2) break;
  }
  return ranges;
}

interface Asked {
  readonly first: number;
  readonly end: number;
  /** The chain before the range, where it is known. */
  readonly start: Buffer | undefined;
  readonly afford: Afford;
}

async function digestRange(
  store: Store,
  hub: HubKey,
  range: HeldRange,
  { first, end, start, afford }: Asked,
): Promise<FlushDigest[] | undefined> {
  const { chain, chainBefore } = range.entry;
  const last: FlushDigest = { flush: range.end - 1, chain: Buffer.from(chain), expiredUntilMs: 0 };
  if (first === last.flush) return [last];
  const isAsked = ({ flush }: { flush: number }) => flush >= first && flush < end;
  if (range.entry.expired) return [...expiredDigests(range, first, end), ...[last].filter(isAsked)];
  const tables = await openRange(store, hub, range, 0, afford);
  if (!tables || tables.length === 0) return tables && [];
  const placed = tables.flatMap((table) => [...table.placed()]);
  const flushes = flushesOf(range, placed);
  const from = isMerged(range.entry) ? Buffer.from(chainBefore) : start;
  const chains = from && (await chainsAfter(from, flushes));
  // Where it does not lead to what the author says, somebody else has written what is held before this range.
  if (chains?.at(-1)?.equals(chain)) {
    return flushes.map(({ number }, i) => ({ ...last, flush: number, chain: chains[i] as Buffer })).filter(isAsked);
  }
  const alone = flushes.slice(0, -1).map(({ number }) => ({ flush: number }));
  return [
    ...alone.filter(isAsked).map(({ flush }) => ({
      ...{ flush, expiredUntilMs: 0 },
      chain: flushDigest(flushes[flush - range.first]?.readings ?? []),
    })),
    ...[last].filter(isAsked),
  ];
}

/** Of all flushes asked for but the last one of the range. */
function expiredDigests(range: HeldRange, first: number, end: number): FlushDigest[] {
  const from = Math.max(first, range.first);
  const count = Math.max(0, Math.min(end, range.end - 1) - from);
  const expired = { chain: Buffer.alloc(0), expiredUntilMs: ageOf(range.entry) };
  return Array.from({ length: count }, (_, i) => ({ flush: from + i, ...expired }));
}

/** The chain after each of the flushes. */
export async function chainsAfter(start: Buffer, flushes: readonly Flush[]): Promise<Buffer[]> {
  const chains: Buffer[] = [];
  let chain = start;
  let digested = 0;
  for (const flush of flushes) {
    chain = chainNext(chain, flush.readings);
    chains.push(chain);
    digested += flush.readings.length + valuesOf(flush.readings);
    if (digested < AT_ONCE) continue;
    digested = 0;
    await turn();
  }
  return chains;
}
