// Making a session its hub's current one: older sessions lose their say, the generation is judged and the next one
// issued, durably.
import type { Hello } from '../../../gen/occmesh/link/v1/link.js';
import type { SessionRecord } from '../../../gen/occmesh/store/v1/store.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import { uuidBytes } from '../../identity/uuid.js';
import { keep } from '../../kernel/bytes.js';
import type { CloudSession } from '../../link/cloud-session.js';
import { LinkFault } from '../../link/fault.js';
import type { HubLedger } from '../telemetry/ledger.js';
import type { HubHost } from './hub-host.js';
import type { SessionServices } from './services.js';
import { type GenerationVerdict, judgeGeneration, putSessionRecord, readSessionRecord } from './session-record.js';

const NONE = new Uint8Array(0);

export interface Admitted {
  readonly ledger: HubLedger;
  /** As it is in the store now. */
  record: SessionRecord;
  readonly quarantined: boolean;
}

/** What matters only at that moment. */
interface TakenOver extends Admitted {
  /** The record as it was before this session. */
  readonly before: SessionRecord;
  readonly verdict: GenerationVerdict;
}

/** Faults: link.going-away when the session has ended meanwhile, link.superseded; inventory.*, storage.*. */
export async function takeOver(
  services: SessionServices,
  host: HubHost,
  peer: MeshCertificate,
  session: CloudSession,
  hello: Hello,
): Promise<TakenOver> {
  const { store, sessions, clock } = services;
  const mustLive = () => {
    if (session.state !== 'admitting')
      throw new LinkFault('link.going-away', 'the session ended while it was admitted');
  };
  // It may have waited for long: nothing is done for a hub that has given up.
  mustLive();
  const known = await services.inventory.admit(peer);
  // One that ended while the inventory was asked must not take the place of one that lives.
  mustLive();
  // From here on nothing of an older session is stored: its commits ask isCurrent().
  sessions.take(host);
  // Whatever it had begun to write before is durable now, or known to have failed: only from here on do ledger and
  // record say how things are.
  await store.commit(() => undefined);
  const [ledger, before] = await Promise.all([services.ledger.of(host), readSessionRecord(store, host)]);
  const keyId = keep(peer.key.keyId);
  const verdict = judgeGeneration(before, hello.generation, keyId);
  const record: SessionRecord = {
    ...before,
    issuedGeneration: Math.max(before.issuedGeneration, hello.generation) + 1,
    confirmedGeneration: verdict === 'older' ? before.confirmedGeneration : hello.generation,
    lastSeenMs: clock.now(),
    shutDown: false,
    connectorId: host.connectorId === undefined ? NONE : uuidBytes(host.connectorId),
    keyId,
  };
  await store.commit(() => {
    if (!host.isCurrent()) throw new LinkFault('link.superseded', 'a newer session of this hub has taken over');
    return [putSessionRecord(host, record)];
  });
  for (const { log, next } of before.announced) ledger.announce(log, next);
  return { ledger, record, before, verdict, quarantined: known.quarantined || verdict === 'older' };
}
