// Every table of the cloud's store. A key is: customer id (16 bytes; NOBODY for what belongs to no customer), table
// (1 byte), then what the table says. The customer comes first so that a distributed store can keep a tenant together.
// Customer ids are UUIDs of version 7: none begins with 0x00 or 0xff, which the store keeps for itself. Table numbers
// are never used again. "Since" is the program version in which a table was born.
import { uuidBytes } from '../identity/uuid.js';

export const TABLES = {
  /** (nothing more) → CustomerRecord. Since 0.1. */
  customer: 0x01,
  /** machine (16) → MachineRecord. Since 0.1. */
  machine: 0x02,
  /** machine (16), sensor number (u32) → SensorRecord. Since 0.1. */
  sensor: 0x03,
  /** token id (16) → TokenRecord. Since 0.1. */
  token: 0x04,
  /** hash of caller, method and request id (32) → what the request has changed. Since 0.1. */
  request: 0x05,
  /** machine (16), sensor number (u32), field (utf8) → SecretRecord, sealed. Since 0.1. */
  secret: 0x06,
  /** machine (16) → SessionRecord: generations, announced tails, last seen. Since 0.1. */
  session: 0x10,
  /** machine (16), log (16), first flush (u64) → LedgerEntry. Since 0.1. */
  ledger: 0x11,
  /** machine (16), log (16), first flush (u64) → the batch, Signed, as the hub made it. Since 0.1. */
  batch: 0x12,
  /** machine (16), log (16), first flush (u64), witness (u8) → the gap, Signed. Since 0.1. */
  gap: 0x13,
  /** machine (16), log (16), first flush of the range (u64), sensor (u32) → SeriesBlock. Since 0.1. */
  series: 0x14,
  /** machine (16), sensor (u32), day since 1970-01-01 (u64) → SummaryBlock. Since 0.1. */
  summary: 0x15,
  /** alarm id (16) → AlarmRecord. Since 0.1. */
  alarm: 0x20,
  /** maintenance id (16) → MaintenanceRecord. Since 0.1. */
  maintenance: 0x21,
  /** channel id (16) → ChannelRecord. Since 0.1. */
  channel: 0x22,
  /** notice id (16) → NoticeRecord: what waits to be told. Since 0.1. */
  notice: 0x23,
  /** position (u64) → events.v1.Event. Since 0.1. */
  event: 0x28,
} as const;

export type TableName = keyof typeof TABLES;

/** The "customer" of what belongs to nobody in particular. Not zeros: the store keeps 0x00 for itself. */
export const NOBODY: Buffer = Buffer.alloc(16, 0x01);

/** The prefix of all keys of one table of one customer, followed by `parts`. */
export function tableKey(customer: Uint8Array, table: TableName, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([customer, Buffer.of(TABLES[table]), ...parts]);
}

/** Where a customer-bound record goes in the store; `undefined` stands for nobody in particular. */
export const customerKey = (id: string | undefined): Buffer => (id === undefined ? NOBODY : uuidBytes(id));
