// Answers a hub's question where its log parted from what the cloud holds: the chain at single flushes, computed again
// from the batches as they are stored.
import type { DigestAnswer, DigestRequest, FlushDigest } from '../../../gen/occmesh/link/v1/link.js';
import { LedgerEntry } from '../../../gen/occmesh/store/v1/store.js';
import { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { LinkFault } from '../../link/fault.js';
import { rangeOf, readU64be, u64be } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import { unpackBatch } from '../../telemetry/batch.js';
import { chainNext, chainStart } from '../../telemetry/chain.js';
import { tableKey } from '../tables.js';
import type { HubKey } from '../telemetry/ledger.js';

const MOST_FLUSHES = 4_096;

export async function answerDigests(store: Store, hub: HubKey, request: DigestRequest): Promise<DigestAnswer> {
  const { log, range } = request;
  if (log.length !== 16 || !range || range.count < 1 || range.count > MOST_FLUSHES) {
    throw new LinkFault('link.protocol', `a digest request for ${range?.count ?? 0} flushes`);
  }
  const end = range.first + range.count;
  const digests: FlushDigest[] = [];
  // The batch before the first one that is asked for, too: its chain is where the computation starts.
  let previous: { end: number; chain: Buffer } = { end: 0, chain: chainStart(Buffer.from(log)) };
  const prefix = tableKey(hub.customer, 'ledger', hub.machine, log);
  for await (const { key, value } of store.entries({
    from: rangeOf(prefix).from,
    until: Buffer.concat([prefix, u64be(end)]),
  })) {
    const first = readU64be(key, prefix.length);
    const entry = LedgerEntry.decode(value);
    const after = { end: first + entry.flushCount, chain: Buffer.from(entry.chain) };
    if (after.end > range.first) {
      // A batch whose predecessor is not held has no known start; only its end is certain.
      if (previous.end !== first) digests.push({ flush: after.end - 1, chain: after.chain });
      else digests.push(...(await chainsOf(store, hub, log, first, previous.chain)));
    }
    previous = after;
  }
  return { log, range, digests: digests.filter(({ flush }) => flush >= range.first && flush < end) };
}

async function chainsOf(
  store: Store,
  hub: HubKey,
  log: Uint8Array,
  first: number,
  start: Buffer,
): Promise<FlushDigest[]> {
  const value = await store.get(tableKey(hub.customer, 'batch', hub.machine, log, u64be(first)));
  if (!value) return [];
  let chain = start;
  return unpackBatch(Signed.decode(value).content)
    .flushes()
    .map(({ number, readings }) => {
      chain = chainNext(chain, readings);
      return { flush: number, chain };
    });
}
