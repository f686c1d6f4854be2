// What the cloud durably remembers of a machine's sessions: generations, announced tails, last sign of life.
import { SessionRecord } from '../../../gen/occmesh/store/v1/store.js';
import { uuidBytes, uuidText } from '../../identity/uuid.js';
import { rangeOf } from '../../storage/keys.js';
import type { Op, Store } from '../../storage/store.js';
import { tableKey } from '../tables.js';
import type { HubKey } from '../telemetry/ledger.js';

const keyOf = (hub: HubKey): Buffer => tableKey(hub.customer, 'session', hub.machine);

export async function readSessionRecord(store: Store, hub: HubKey): Promise<SessionRecord> {
  const value = await store.get(keyOf(hub));
  return value ? SessionRecord.decode(value) : SessionRecord.fromPartial({});
}

/** Those of all machines of a customer, with their ids: one walk, where ten thousand look-ups take seconds. */
export async function* sessionRecordsOf(
  store: Store,
  customerId: string,
): AsyncGenerator<[machineId: string, record: SessionRecord]> {
  const prefix = tableKey(uuidBytes(customerId), 'session');
  for await (const { key, value } of store.entries(rangeOf(prefix))) {
    yield [uuidText(key.subarray(prefix.length)), SessionRecord.decode(value)];
  }
}

export const putSessionRecord = (hub: HubKey, record: SessionRecord): Op => ({
  put: keyOf(hub),
  value: SessionRecord.encode(record).finish(),
});

/** What the generation that a hub presents says of it. */
export type GenerationVerdict = 'current' | 'older' | 'newer';

/**
 * The last generation issued is current; the one confirmed before it too, as long as the last one was never used: its
 * Welcome may have been lost. Older: the hub was rolled back or cloned. Newer: this cloud was restored.
 */
export function judgeGeneration(record: SessionRecord, presented: number, keyId: Uint8Array): GenerationVerdict {
  // Installed anew, as the same machine: none has been issued to this key.
  if (presented === 0 && record.keyId.length > 0 && Buffer.compare(record.keyId, keyId) !== 0) return 'current';
  if (presented > record.issuedGeneration) return 'newer';
  if (presented === record.issuedGeneration || presented === record.confirmedGeneration) return 'current';
  return 'older';
}
