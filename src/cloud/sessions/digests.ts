// Answers a hub's question where its log parted from what the cloud holds. Every flush that is held gets an answer: a hub
// that is left without one would send it again, for ever.
import type { DigestAnswer, DigestRequest } from '../../../gen/occmesh/link/v1/link.js';
import { LinkFault } from '../../link/fault.js';
import { MOST_DIGESTS } from '../../link/version.js';
import type { Store } from '../../storage/store.js';
import { digestsOf } from '../telemetry/chains.js';
import type { HubKey } from '../telemetry/ledger.js';
import type { Afford } from '../telemetry/unfolding.js';

/** Faults: link.protocol for a question that may not be asked. */
export async function answerDigests(
  { store, afford }: { readonly store: Store; readonly afford: Afford },
  hub: HubKey,
  { log, range }: DigestRequest,
): Promise<DigestAnswer> {
  if (log.length !== 16 || !range || range.count < 1 || range.count > MOST_DIGESTS) {
    throw new LinkFault('link.protocol', `a digest request for ${range?.count ?? 0} flushes`);
  }
  return { log, range, digests: await digestsOf(store, hub, log, range.first, range.first + range.count, afford) };
}
