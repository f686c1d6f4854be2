// After a repair: batches and ledger entries belong together, and damage takes one and leaves the other. An entry without
// its batch would be a promise to hold what is not there, and the hub would never send it again; a batch without its
// entry could not be found, and may be stored a second time under other boundaries.
import { LedgerEntry } from '../../../gen/occmesh/store/v1/store.js';
import { Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { EVERYTHING } from '../../storage/copy.js';
import type { Op, Store } from '../../storage/store.js';
import { unpackBatch } from '../../telemetry/batch.js';
import { TABLES } from '../tables.js';
import { entryOf } from './held.js';

export interface Mended {
  /** Ledger entries that were taken back: their batches are gone, hubs send them again. */
  readonly withdrawn: number;
  /** Ledger entries that were made again from their batches. */
  readonly entered: number;
}

/** Where the table's number stands in a key, behind the customer. */
const TABLE_AT = 16;
const OPS_AT_ONCE = 1_000;

/** Puts a store that nobody else uses in order. Faults: storage.*. */
export async function mendTelemetry(store: Store): Promise<Mended> {
  let [withdrawn, entered] = [0, 0];
  let ops: Op[] = [];
  const write = async () => {
    const some = ops;
    ops = [];
    await store.commit(() => some);
  };
  for await (const { key, value } of store.entries(EVERYTHING)) {
    const table = key[TABLE_AT];
    if (table === TABLES.ledger && (await store.get(inTable(key, TABLES.batch))) === undefined) {
      ops.push({ del: key });
      withdrawn += 1;
    } else if (table === TABLES.batch && (await store.get(inTable(key, TABLES.ledger))) === undefined) {
      ops.push({
        put: inTable(key, TABLES.ledger),
        value: LedgerEntry.encode(entryOf(unpackBatch(Signed.decode(value).content))).finish(),
      });
      entered += 1;
    }
    if (ops.length >= OPS_AT_ONCE) await write();
  }
  if (ops.length > 0) await write();
  return { withdrawn, entered };
}

function inTable(key: Buffer, table: number): Buffer {
  const other = Buffer.from(key);
  other[TABLE_AT] = table;
  return other;
}
