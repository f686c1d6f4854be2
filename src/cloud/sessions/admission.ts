// Making a session its hub's current one: older sessions lose their say, the generation is judged and the next one
// issued, durably; and what follows from that, for the cloud and in the Welcome.
import type { Hello } from '../../../gen/occmesh/link/v1/link.js';
import type { SessionRecord } from '../../../gen/occmesh/store/v1/store.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import { keep } from '../../kernel/bytes.js';
import type { Admission, CloudSession } from '../../link/cloud-session.js';
import { LinkFault } from '../../link/fault.js';
import type { HubLedger } from '../telemetry/ledger.js';
import type { HubHost } from './hub-host.js';
import { LIVE_WINDOW_BYTES } from './intake.js';
import type { SessionServices } from './services.js';
import { type GenerationVerdict, judgeGeneration, putSessionRecord, readSessionRecord } from './session-record.js';
import { recordMissingTails } from './tails.js';

const NONE = new Uint8Array(0);

export interface Admitted {
  readonly ledger: HubLedger;
  /** As it is in the store now. */
  record: SessionRecord;
  readonly quarantined: boolean;
}

interface TakenOver {
  readonly admitted: Admitted;
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
    connectorId: host.connector?.machine ?? NONE,
    keyId,
  };
  await store.commit(() => {
    if (!host.isCurrent()) throw new LinkFault('link.superseded', 'a newer session of this hub has taken over');
    return [putSessionRecord(host, record)];
  });
  for (const { log, next } of before.announced) ledger.announce(log, next);
  const quarantined = known.quarantined || verdict === 'older';
  return { admitted: { ledger, record, quarantined }, before, verdict };
}

/** For a host that is admitted. Faults: inventory.*, storage.*. */
export async function welcome(
  services: SessionServices,
  host: HubHost,
  { admitted, before, verdict }: TakenOver,
  hello: Hello,
): Promise<Admission['welcome']> {
  const { inventory, clock, heartbeatMs, software } = services;
  const { machineId, customerId } = host;
  const { ledger, record, quarantined } = admitted;
  const generations = { presented: hello.generation, issued: before.issuedGeneration };
  if (verdict === 'older') {
    host.log.error(generations, 'hub was rolled back or cloned: quarantined');
    const reason = `presented generation ${hello.generation} where ${before.issuedGeneration} was issued`;
    await inventory.setQuarantined(machineId, reason);
  }
  if (verdict === 'newer') host.log.warn(generations, 'hub knows more than this cloud: restored from a backup?');
  await recordMissingTails(services, host, before, hello.logs);
  await inventory.raiseConfigVersion(machineId, hello.configVersion);
  if (!quarantined) await inventory.announceSealing(machineId, hello.sealingKeys);
  return {
    generation: record.issuedGeneration,
    holdings: hello.logs.map((one) => ledger.mention(one.log).holding()),
    liveWindow: LIVE_WINDOW_BYTES,
    configVersion: quarantined ? 0 : (inventory.desiredState(machineId)?.version ?? 0),
    clockMs: clock.now(),
    revokedKeys: inventory.revokedKeys(customerId, 'connector'),
    heartbeatMs,
    quarantined,
    software,
  };
}
