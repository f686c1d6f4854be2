// What is remembered of sessions, read back for a whole customer.
import { expect } from 'chai';
import { SessionRecord } from '../../../../gen/occmesh/store/v1/store.js';
import { putSessionRecord, sessionRecordsOf } from '../../../../src/cloud/sessions/session-record.js';
import { tableKey } from '../../../../src/cloud/tables.js';
import { uuidBytes } from '../../../../src/identity/uuid.js';
import { MemoryStore } from '../../../../src/storage/memory.js';

const id = (last: number): string => `01890000-0000-7000-8000-${last.toString(16).padStart(12, '0')}`;
const keyOf = (customer: string, machine: string) => ({ customer: uuidBytes(customer), machine: uuidBytes(machine) });

describe('session records of a customer', () => {
  it('are all of its machines, and nothing of another customer or table', async () => {
    const store = new MemoryStore();
    const found = async (customer: string) => {
      const all: [string, number][] = [];
      for await (const [machine, { lastSeenMs }] of sessionRecordsOf(store, customer)) all.push([machine, lastSeenMs]);
      return all;
    };
    const record = (lastSeenMs: number) => SessionRecord.fromPartial({ lastSeenMs });
    await store.commit(() => [
      putSessionRecord(keyOf(id(2), id(0xff)), record(7)),
      putSessionRecord(keyOf(id(2), id(1)), record(8)),
      putSessionRecord(keyOf(id(1), id(5)), record(9)),
      putSessionRecord(keyOf(id(3), id(6)), record(9)),
      { put: tableKey(uuidBytes(id(2)), 'ledger', uuidBytes(id(7))), value: Buffer.of(1) },
      { put: tableKey(uuidBytes(id(2)), 'secret', uuidBytes(id(7))), value: Buffer.of(1) },
    ]);
    expect(await found(id(2))).to.deep.equal([
      [id(1), 8],
      [id(0xff), 7],
    ]);
    expect(await found(id(4))).to.deep.equal([]);
  });
});
