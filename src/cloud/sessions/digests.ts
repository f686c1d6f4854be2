// Answers a hub's question where its log parted from what the cloud holds, computed again from the batches as they are
// stored. For each flush held: the chain after it (16 bytes); where what comes before a batch is not held, or was written
// by another machine, and the chain inside it is therefore unknown, the digest of the flush alone (32 bytes). Every flush
// that is held gets an answer: a hub that is left without one would send it again, for ever.
import type { DigestAnswer, DigestRequest, FlushDigest } from '../../../gen/occmesh/link/v1/link.js';
import { LedgerEntry } from '../../../gen/occmesh/store/v1/store.js';
import { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { LinkFault } from '../../link/fault.js';
import { MOST_DIGESTS } from '../../link/version.js';
import { readU64be, u64be } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import { type OpenBatch, unpackBatch } from '../../telemetry/batch.js';
import { chainNext, chainStart, flushDigest } from '../../telemetry/chain.js';
import type { Flush } from '../../telemetry/reading.js';
import { tableKey } from '../tables.js';
import type { HubKey } from '../telemetry/ledger.js';
import { unfoldingCost } from '../telemetry/unfolding.js';

interface HeldBatch {
  readonly first: number;
  readonly end: number;
  /** After its last flush. */
  readonly chain: Buffer;
}

/** Waits, before a batch is unfolded, until it may cost so much. */
export type Afford = (cost: number) => Promise<void>;

/** Faults: link.protocol for a question that may not be asked. */
export async function answerDigests(
  { store, afford }: { readonly store: Store; readonly afford: Afford },
  hub: HubKey,
  request: DigestRequest,
): Promise<DigestAnswer> {
  const { log, range } = request;
  if (log.length !== 16 || !range || range.count < 1 || range.count > MOST_DIGESTS) {
    throw new LinkFault('link.protocol', `a digest request for ${range?.count ?? 0} flushes`);
  }
  const end = range.first + range.count;
  const digests: FlushDigest[] = [];
  let before: HeldBatch = { first: 0, end: 0, chain: chainStart(log) };
  for await (const batch of heldBatches(store, hub, log, range.first, end)) {
    if (batch.end > range.first) {
      const start = before.end === batch.first ? before.chain : undefined;
      const content = await store.get(tableKey(hub.customer, 'batch', hub.machine, log, u64be(batch.first)));
      if (content) {
        const opened = unpackBatch(Signed.decode(content).content);
        await afford(unfoldingCost(opened.header));
        digests.push(...digestsOf(opened, batch, start));
      }
    }
    before = batch;
  }
  return { log, range, digests: digests.filter(({ flush }) => flush >= range.first && flush < end) };
}

/** The batches that touch `first` … `end`-1, and up to two before them. */
async function* heldBatches(
  store: Store,
  hub: HubKey,
  log: Uint8Array,
  first: number,
  end: number,
): AsyncGenerator<HeldBatch> {
  const prefix = tableKey(hub.customer, 'ledger', hub.machine, log);
  const keyAt = (flush: number) => Buffer.concat([prefix, u64be(flush)]);
  // The last batch that begins at or before `first` may reach into the range; the chain before it is that of another.
  let from: Buffer = keyAt(first);
  for await (const { key } of store.entries({ from: keyAt(0), until: keyAt(first + 1), reverse: true, limit: 2 })) {
    from = key;
  }
  for await (const { key, value } of store.entries({ from, until: keyAt(end) })) {
    const { flushCount, chain } = LedgerEntry.decode(value);
    const number = readU64be(key, prefix.length);
    yield { first: number, end: number + flushCount, chain: Buffer.from(chain) };
  }
}

function digestsOf(opened: OpenBatch, { end, chain: last }: HeldBatch, start: Buffer | undefined): FlushDigest[] {
  const flushes = opened.flushes();
  const chains = start ? chainsFrom(start, flushes) : [];
  // Where it does not lead to what the author says, somebody else has written what is held before this batch.
  const isKnown = chains.at(-1)?.equals(last) ?? false;
  return flushes.map(({ number, readings }, i) => {
    const chain = number === end - 1 ? last : isKnown ? chains[i] : undefined;
    return { flush: number, chain: chain ?? flushDigest(readings) };
  });
}

function chainsFrom(start: Buffer, flushes: readonly Flush[]): Buffer[] {
  let chain = start;
  return flushes.map(({ readings }) => {
    chain = chainNext(chain, readings);
    return chain;
  });
}
