// Batches and ledger entries of a repaired store are put in step again.
import { expect } from 'chai';
import { LedgerEntry } from '../../../../gen/occmesh/store/v1/store.js';
import { Signed, State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { tableKey } from '../../../../src/cloud/tables.js';
import { Ledger } from '../../../../src/cloud/telemetry/ledger.js';
import { mendTelemetry } from '../../../../src/cloud/telemetry/mend.js';
import { queryReadings } from '../../../../src/cloud/telemetry/query.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { u64be } from '../../../../src/storage/keys.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import type { Op } from '../../../../src/storage/store.js';
import { packBatch } from '../../../../src/telemetry/batch.js';

const customer = Buffer.alloc(16, 0x21);
const machine = Buffer.alloc(16, 0x22);
const log = Buffer.alloc(16, 0x23);
const chain = Buffer.alloc(16, 0x24);
const hub = { customer, machine };

const at = (flush: number) => [machine, log, u64be(flush)] as const;

function batch(flush: number): Op {
  const takenAt = epochMs(1_000 + flush);
  const readings = [{ sensor: 1, takenAt, state: State.OK, message: '', values: [] }];
  const content = packBatch({ log, firstFlush: flush, chain }, [{ number: flush, readings }]);
  const value = Signed.encode(Signed.fromPartial({ content })).finish();
  return { put: tableKey(customer, 'batch', ...at(flush)), value };
}

function entry(flush: number): Op {
  const [earliestMs, latestMs] = [1_000 + flush, 1_000 + flush];
  const entry = LedgerEntry.fromPartial({ flushCount: 1, chain, readingCount: 1, earliestMs, latestMs });
  const value = LedgerEntry.encode(entry).finish();
  return { put: tableKey(customer, 'ledger', ...at(flush)), value };
}

describe('mending telemetry after a repair', () => {
  it('leaves alone what is in order', async () => {
    const store = new MemoryStore();
    await store.commit(() => [batch(0), entry(0), batch(1), entry(1)]);
    const writes = store.writes;
    expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 0, entered: 0 });
    expect(store.writes).to.equal(writes);
  });

  it('no longer promises to hold a batch that is gone, so that its hub sends it again', async () => {
    const store = new MemoryStore();
    await store.commit(() => [batch(0), entry(0), entry(1), batch(2), entry(2)]);
    expect((await new Ledger(store).of(hub)).log(log).held.toProto()).to.deep.equal([{ first: 0, count: 3 }]);
    expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 1, entered: 0 });
    expect((await new Ledger(store).of(hub)).log(log).held.toProto()).to.deep.equal([
      { first: 0, count: 1 },
      { first: 2, count: 1 },
    ]);
  });

  it('finds a batch again whose entry is gone, the very same as before', async () => {
    const store = new MemoryStore();
    const whole = entry(1);
    await store.commit(() => [batch(0), entry(0), batch(1)]);
    expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 0, entered: 1 });
    const made = await store.get(tableKey(customer, 'ledger', ...at(1)));
    expect('put' in whole && made?.equals(Buffer.from(whole.value))).to.equal(true);
    const times: number[] = [];
    for await (const found of queryReadings(store, hub, { sensor: 0, from: 0, until: Number.POSITIVE_INFINITY })) {
      times.push(...found.map(({ reading }) => reading.takenAt));
    }
    expect(times).to.deep.equal([1_000, 1_001]);
  });
});
