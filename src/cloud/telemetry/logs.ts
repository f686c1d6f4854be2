// Which logs a store has anything of, whosever they are.
import { EVERYTHING } from '../../storage/copy.js';
import { successor } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import { TABLES } from '../tables.js';
import type { HubKey } from './ledger.js';

/** Where things stand in a key: customer, table, machine, log. */
const [TABLE_AT, MACHINE_AT, LOG_AT, LOG_END] = [16, 17, 33, 49];
const TELEMETRY: readonly (number | undefined)[] = [TABLES.ledger, TABLES.batch, TABLES.series];

/** Every log of which there is an entry, a batch or a block, once. Looks at no more than one key of each. */
export async function* logsIn(store: Store): AsyncGenerator<{ hub: HubKey; log: Buffer }> {
  const seen = new Set<string>();
  for (let from: Uint8Array = EVERYTHING.from; ; ) {
    let key: Buffer | undefined;
    for await (const entry of store.entries({ from, until: EVERYTHING.until, limit: 1 })) key = entry.key;
    if (!key) return;
    const isTelemetry = TELEMETRY.includes(key[TABLE_AT]);
    from = successor(key.subarray(0, isTelemetry ? LOG_END : MACHINE_AT));
    const hub = { customer: key.subarray(0, TABLE_AT), machine: key.subarray(MACHINE_AT, LOG_AT) };
    const log = key.subarray(LOG_AT, LOG_END);
    const name = Buffer.concat([hub.customer, hub.machine, log]).toString('latin1');
    if (!isTelemetry || seen.has(name)) continue;
    seen.add(name);
    yield { hub, log };
  }
}
