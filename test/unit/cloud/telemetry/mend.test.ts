// Batches and ledger entries of a repaired store are put in step again.
import { expect } from 'chai';
import { LedgerEntry } from '../../../../gen/occmesh/store/v1/store.js';
import { Signed, State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { TABLES, tableKey } from '../../../../src/cloud/tables.js';
import { Ledger } from '../../../../src/cloud/telemetry/ledger.js';
import { mendTelemetry } from '../../../../src/cloud/telemetry/mend.js';
import { Merger } from '../../../../src/cloud/telemetry/merging/merger.js';
import type { Steps } from '../../../../src/cloud/telemetry/merging/plan.js';
import { mergeHub } from '../../../../src/cloud/telemetry/merging/walk.js';
import { queryReadings } from '../../../../src/cloud/telemetry/query.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { EVERYTHING } from '../../../../src/storage/copy.js';
import { u64be } from '../../../../src/storage/keys.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import type { Entry, Op } from '../../../../src/storage/store.js';
import { packBatch } from '../../../../src/telemetry/batch.js';
import { HUB, TelemetryStore, WrittenLog } from '../../../support/telemetry-store.js';

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
  const entry = LedgerEntry.fromPartial({
    flushCount: 1,
    chain,
    readingCount: 1,
    earliestMs,
    latestMs,
    sensorCount: 1,
  });
  const value = LedgerEntry.encode(entry).finish();
  return { put: tableKey(customer, 'ledger', ...at(flush)), value };
}

describe('mending telemetry after a repair', () => {
  it('leaves alone what is in order', async () => {
    const store = new MemoryStore();
    await store.commit(() => [batch(0), entry(0), batch(1), entry(1)]);
    const writes = store.writes;
    expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 0, entered: 0, removed: 0 });
    expect(store.writes).to.equal(writes);
  });

  it('no longer promises to hold a batch that is gone, so that its hub sends it again', async () => {
    const store = new MemoryStore();
    await store.commit(() => [batch(0), entry(0), entry(1), batch(2), entry(2)]);
    expect((await new Ledger(store).of(hub)).log(log).held.toProto()).to.deep.equal([{ first: 0, count: 3 }]);
    expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 1, entered: 0, removed: 0 });
    expect((await new Ledger(store).of(hub)).log(log).held.toProto()).to.deep.equal([
      { first: 0, count: 1 },
      { first: 2, count: 1 },
    ]);
  });

  it('finds a batch again whose entry is gone, the very same as before', async () => {
    const store = new MemoryStore();
    const whole = entry(1);
    await store.commit(() => [batch(0), entry(0), batch(1)]);
    expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 0, entered: 1, removed: 0 });
    const made = await store.get(tableKey(customer, 'ledger', ...at(1)));
    expect('put' in whole && made?.equals(Buffer.from(whole.value))).to.equal(true);
    const times: number[] = [];
    for await (const found of queryReadings(store, hub, { sensor: 0, from: 0, until: Number.POSITIVE_INFINITY })) {
      times.push(...found.map(({ reading }) => reading.takenAt));
    }
    expect(times).to.deep.equal([1_000, 1_001]);
  });

  describe('of merged ranges', () => {
    let store: MemoryStore;
    let telemetry: TelemetryStore;
    let written: WrittenLog;
    /** What was there before it was merged. */
    let earlier: Entry[];
    beforeEach(async () => {
      store = new MemoryStore();
      telemetry = new TelemetryStore(store);
      const readings = (number: number) =>
        [1, 2, 3].map((sensor) => {
          const takenAt = epochMs(1_000 * number);
          return { sensor, takenAt, state: State.OK, message: '', values: [] };
        });
      written = new WrittenLog(Array.from({ length: 8 }, (_, number) => ({ number, readings: readings(number) })));
      const steps: Steps = [4, 100];
      const modules = { store, steps, merger: new Merger({ store }, steps) };
      for (let i = 0; i < 8; i++) await telemetry.add(written.batch(i, i + 1));
      earlier = await everything(store);
      await mergeHub(modules, HUB);
      earlier.push(...(await everything(store)));
      await mergeHub(modules, HUB, true);
      expect((await telemetry.contents()).entries).to.have.length(1);
    });

    const everything = async (of: MemoryStore) => {
      const all: Entry[] = [];
      for await (const one of of.entries(EVERYTHING)) all.push(one);
      return all;
    };
    const keysOf = async (number: number) =>
      (await everything(store)).map(({ key }) => key).filter((key) => key[16] === number);
    const heldOf = async (log: Buffer) => (await new Ledger(store).of(HUB)).look(log).held.toProto();

    it('leaves alone what is in order', async () => {
      const writes = store.writes;
      expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 0, entered: 0, removed: 0 });
      expect(store.writes).to.equal(writes);
    });

    it('withdraws a range of which a block is gone, with the other blocks, whichever it is', async () => {
      const keys = await keysOf(TABLES.series);
      expect(keys).to.have.length(3);
      for (const del of keys) {
        const damaged = store.restarted();
        await damaged.commit(() => [{ del }]);
        expect(await mendTelemetry(damaged)).to.deep.equal({ withdrawn: 1, entered: 0, removed: 2 });
        expect(await everything(damaged)).to.deep.equal([]);
        const again = new TelemetryStore(damaged);
        expect(await again.add(written.batch(0, 8)), 'its hub sends it again').to.equal('stored');
      }
    });

    it('makes an entry again from the blocks, the very same as before', async () => {
      const before = await everything(store);
      const [del] = await keysOf(TABLES.ledger);
      await store.commit(() => [{ del: del as Buffer }]);
      expect(await heldOf(written.id)).to.deep.equal([]);
      expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 0, entered: 1, removed: 0 });
      expect(await everything(store)).to.deep.equal(before);
    });

    it('removes blocks without an entry when one of them is gone', async () => {
      const [[ledger], [block]] = [await keysOf(TABLES.ledger), await keysOf(TABLES.series)];
      await store.commit(() => [{ del: ledger as Buffer }, { del: block as Buffer }]);
      expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 0, entered: 0, removed: 2 });
      expect(await everything(store)).to.deep.equal([]);
    });

    it('counts nothing twice where what had been merged comes back', async () => {
      const now = await everything(store);
      const kept = new Set(now.map(({ key }) => key.toString('hex')));
      const back = earlier.filter(({ key }) => !kept.has(key.toString('hex')));
      expect(back.length).to.be.greaterThan(10);
      await store.commit(() => back.map(({ key, value }) => ({ put: key, value })));
      const { readings } = (await new Ledger(store).of(HUB)).look(written.id);
      expect(readings, 'negative control').to.be.greaterThan(24);
      await mendTelemetry(store);
      expect(await everything(store)).to.deep.equal(now);
    });

    it('goes back to what had been merged where that is all there is', async () => {
      const [block] = await keysOf(TABLES.series);
      const old = earlier.filter(({ key }) => key[16] === TABLES.batch);
      await store.commit(() => [...old.map(({ key, value }) => ({ put: key, value })), { del: block as Buffer }]);
      expect(await mendTelemetry(store)).to.deep.equal({ withdrawn: 0, entered: 8, removed: 2 });
      expect(await telemetry.query()).to.deep.equal(written.placed());
      expect(await heldOf(written.id)).to.deep.equal([{ first: 0, count: 8 }]);
    });
  });
});
