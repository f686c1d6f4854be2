// The way of batches and gaps into the store and out again: verdicts, what is durable together, what a restart reads back,
// what is latest, and what a query finds.
import { expect } from 'chai';
import { Lane } from '../../../../gen/occmesh/link/v1/link.js';
import { Gap, GapReason, State, Witness } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { type Author, Ingest } from '../../../../src/cloud/telemetry/ingest.js';
import { LatestReadings } from '../../../../src/cloud/telemetry/latest.js';
import { type HubLedger, Ledger } from '../../../../src/cloud/telemetry/ledger.js';
import { queryReadings } from '../../../../src/cloud/telemetry/query.js';
import { Turns, type Whose } from '../../../../src/cloud/telemetry/turns.js';
import { VERIFYING_COST } from '../../../../src/cloud/telemetry/unfolding.js';
import { SigningKey } from '../../../../src/identity/keys.js';
import { signContent } from '../../../../src/identity/signed.js';
import { TAGS } from '../../../../src/identity/tags.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { packBatch } from '../../../../src/telemetry/batch.js';
import { chainNext, chainStart } from '../../../../src/telemetry/chain.js';
import type { Flush } from '../../../../src/telemetry/reading.js';
import { settle } from '../../../support/fake-clock.js';

const hub = { customer: Buffer.alloc(16, 0x21), machine: Buffer.alloc(16, 0x22) };
const LOG = Buffer.alloc(16, 0x33);

const flush = (number: number, id = number, sensor = 1): Flush => ({
  number,
  readings: [
    {
      sensor,
      takenAt: epochMs(1_000 * id),
      state: State.OK,
      message: '',
      values: [{ name: 'id', unit: '', value: id }],
    },
  ],
});

/** Turns that are looked at. */
class SeenTurns extends Turns {
  readonly costs: number[] = [];

  override async take(whose: Whose, lane: Lane, cost: number): Promise<() => void> {
    const end = await super.take(whose, lane, cost);
    this.costs.push(cost);
    return end;
  }
}

describe('cloud: ingest', () => {
  const key = SigningKey.generate();
  let store: MemoryStore;
  let ledger: HubLedger;
  let ingest: Ingest;
  let author: Author;
  let isCurrent: boolean;
  beforeEach(async () => {
    store = new MemoryStore();
    ingest = new Ingest(store);
    ledger = await new Ledger(store).of(hub);
    isCurrent = true;
    author = {
      ...hub,
      ledger,
      budget: { unfold: () => undefined, record: () => undefined },
      verifyKey: (keyId) => (key.publicKey.keyId.equals(keyId) ? key.publicKey : undefined),
      isCurrent: () => isCurrent,
    };
  });

  const batch = (flushes: readonly Flush[], log = LOG) => {
    let chain = chainStart(log);
    for (const { readings } of flushes) chain = chainNext(chain, readings);
    const firstFlush = flushes[0]?.number ?? 0;
    return signContent(key, TAGS.BATCH, packBatch({ log, firstFlush, chain }, flushes));
  };

  const gap = (first: number, count: number, change: Partial<Gap> = {}) =>
    signContent(
      key,
      TAGS.GAP,
      Gap.encode({
        machineId: hub.machine,
        log: LOG,
        firstFlush: first,
        flushCount: count,
        reason: GapReason.LOG_FULL,
        noticedAtMs: 0,
        witness: Witness.HUB,
        readingCount: count,
        ...change,
      }).finish(),
    );

  const codeOf = (attempt: Promise<unknown>): Promise<unknown> =>
    attempt.then(
      () => 'none',
      (thrown: { code?: unknown }) => thrown.code,
    );

  const stored = async (from = 0, until = 1e12, sensor = 0): Promise<number[]> => {
    const found: number[] = [];
    for await (const some of queryReadings(store, hub, { sensor, from, until })) {
      found.push(...some.map(({ reading }) => reading.values[0]?.value ?? -1));
    }
    return found;
  };

  for (const [what, options, writes] of [
    ['shares one synced write among all that comes while another is under way', {}, 2],
    ['would write once for each batch without group commit (negative control)', { maxGroupBytes: 1 }, 50],
  ] as const) {
    it(what, async () => {
      const own = new MemoryStore(options);
      const grouped = new Ingest(own);
      const batches = Array.from({ length: 50 }, (_, i) => grouped.batch(author, batch([flush(i)])));
      expect((await Promise.all(batches)).map(({ kind }) => kind)).to.deep.equal(batches.map(() => 'stored'));
      expect(own.writes).to.be.within(writes - 1, writes);
    });
  }

  it('stores a batch once: the very same is held, also while the first is on its way to the disk', async () => {
    const signed = batch([flush(0), flush(1)]);
    const verdicts = await Promise.all([ingest.batch(author, signed), ingest.batch(author, signed)]);
    expect(verdicts.map(({ kind }) => kind).sort()).to.deep.equal(['held', 'stored']);
    expect((await ingest.batch(author, signed)).kind).to.equal('held');
    expect(await stored()).to.deep.equal([0, 1]);
  });

  it('does not unfold again what comes again: whoever has recorded it can send it for ever', async () => {
    const values = Array.from({ length: 256 }, (_, i) => ({ name: `m${i}`, unit: '', value: 1 }));
    const [reading] = flush(0).readings;
    if (!reading) throw new RangeError('a flush without readings');
    const signed = batch([{ number: 0, readings: Array.from({ length: 256 }, () => ({ ...reading, values })) }]);
    const costs: number[] = [];
    const budget = { unfold: (cost: number) => void costs.push(cost), record: () => undefined };
    for (let i = 0; i < 3; i++) await ingest.batch({ ...author, budget }, signed);
    expect(costs[0]).to.be.above(500_000);
    expect(costs.slice(1)).to.deep.equal([VERIFYING_COST, VERIFYING_COST]);
  });

  it('calls everything else that overlaps a conflict, and stores nothing of it', async () => {
    await ingest.batch(author, batch([flush(5), flush(6), flush(7)]));
    for (const other of [
      [flush(5), flush(6), flush(8 - 1, 99)],
      [flush(5)],
      [flush(6)],
      [flush(7), flush(8)],
      [flush(3), flush(4), flush(5)],
      [flush(4), flush(5), flush(6), flush(7), flush(8)],
    ]) {
      expect((await ingest.batch(author, batch(other))).kind).to.equal('conflict');
    }
    expect(await stored()).to.deep.equal([5, 6, 7]);
    expect((await ingest.batch(author, batch([flush(4)]))).kind).to.equal('stored');
    expect((await ingest.batch(author, batch([flush(8)]))).kind).to.equal('stored');
  });

  it('refuses what was signed by nobody it knows, or for another purpose, and gaps of another machine', async () => {
    const stranger = SigningKey.generate();
    const right = batch([flush(0)]);
    expect(await codeOf(ingest.batch(author, signContent(stranger, TAGS.BATCH, right.content)))).to.equal(
      'link.unauthentic',
    );
    expect(await codeOf(ingest.batch(author, signContent(key, TAGS.GAP, right.content)))).to.equal('link.unauthentic');
    expect(await codeOf(ingest.gap(author, gap(0, 1, { machineId: Buffer.alloc(16, 9) })))).to.equal(
      'link.unauthentic',
    );
    expect(await codeOf(ingest.gap(author, gap(0, 1, { witness: Witness.CLOUD })))).to.equal('link.protocol');
    expect(await codeOf(ingest.gap(author, gap(0, 0)))).to.equal('link.protocol');
    expect(store.writes).to.equal(0);
  });

  it('stores nothing for a session that is no longer current, asked inside the commit', async () => {
    const [first, second] = [ingest.batch(author, batch([flush(0)])), ingest.batch(author, batch([flush(1)]))];
    isCurrent = false;
    expect(await codeOf(first)).to.equal('link.superseded');
    expect(await codeOf(second)).to.equal('link.superseded');
    expect(await codeOf(ingest.gap(author, gap(5, 1)))).to.equal('link.superseded');
    expect(store.writes).to.equal(0);
    expect(await stored()).to.deep.equal([]);
  });

  it('reads the same ledger back from the store, whatever came in which order', async () => {
    for (const first of [6, 0, 9, 3]) {
      await ingest.batch(author, batch([flush(first), flush(first + 1), flush(first + 2)]));
    }
    await ingest.batch(author, batch([flush(20)]));
    await ingest.gap(author, gap(12, 8));
    await ingest.gap(author, gap(19, 2));
    const again = (await new Ledger(store).of(hub)).log(LOG);
    for (const state of [ledger.log(LOG), again]) {
      expect(state.held.toProto()).to.deep.equal([
        { first: 0, count: 12 },
        { first: 20, count: 1 },
      ]);
      expect(state.lost.toProto()).to.deep.equal([{ first: 12, count: 8 }]);
      expect([state.readings, state.announced]).to.deep.equal([13, 21]);
      expect(state.chain.equals(chainNext(chainStart(LOG), flush(20).readings))).to.equal(true);
    }
  });

  it('lets data take the place of a gap, never the reverse', async () => {
    await ingest.gap(author, gap(0, 3));
    await ingest.batch(author, batch([flush(1)]));
    await ingest.gap(author, gap(1, 1));
    expect(ledger.log(LOG).lost.toProto()).to.deep.equal([
      { first: 0, count: 1 },
      { first: 2, count: 1 },
    ]);
    expect(await stored()).to.deep.equal([1]);
  });

  it('finds by time and sensor, opening only batches that can hold it', async () => {
    for (let i = 0; i < 10; i++) await ingest.batch(author, batch([flush(i, i, (i % 2) + 1)]));
    expect(await stored(3_000, 6_000)).to.deep.equal([3, 4, 5]);
    expect(await stored(3_000, 6_000, 1)).to.deep.equal([4]);
    expect(await stored(9_000, 9_001)).to.deep.equal([9]);
    expect(await stored(10_000)).to.deep.equal([]);
  });

  it('takes for latest what is last in the order of logs, not what the clock says or what came last', async () => {
    const newer = Buffer.alloc(16, 0x44);
    const latest = new LatestReadings();
    ingest.onStored((h, log, flushes) => latest.stored(h, log, flushes));
    await ingest.batch(author, batch([flush(0, 500)], newer));
    await ingest.batch(author, batch([flush(7, 900)]));
    await ingest.batch(author, batch([flush(1, 400)], newer));
    await ingest.batch(author, batch([flush(2, 950)]));
    const value = (all: LatestReadings) => all.of(hub).map(({ reading }) => reading.values[0]?.value);
    expect(value(latest)).to.deep.equal([400]);
    const loaded = new LatestReadings();
    await loaded.load(hub, store, new Set([1]));
    expect(value(loaded)).to.deep.equal([400]);
  });

  describe('in turns', () => {
    let turns: SeenTurns;
    beforeEach(() => {
      turns = new SeenTurns();
      ingest = new Ingest(store, turns);
    });
    /** Of another customer, with all the room there is. */
    const busy = () => turns.take({ customer: Buffer.alloc(16, 9), machine: Buffer.alloc(16, 9) }, Lane.LIVE, 1e9);

    it('counts the bytes of a batch, whatever its header says', async () => {
      await ingest.batch(author, batch([flush(0)]));
      const [small = 0] = turns.costs;
      const { content } = batch([flush(1)]);
      // A field that nobody knows.
      const padding = Buffer.concat([Buffer.from([0xfa, 0x7f, 0x80, 0x80, 0x0c]), Buffer.alloc(12 * 16_384)]);
      const padded = signContent(key, TAGS.BATCH, Buffer.concat([content, padding]));
      expect((await ingest.batch(author, padded)).kind).to.equal('stored');
      expect(turns.costs[1]).to.be.closeTo(small + padding.length, 10);
      expect(ingest.isBusy).to.equal(false);
    });

    it('takes gaps, whether good or not', async () => {
      const end = await busy();
      const gaps = [gap(0, 2), signContent(SigningKey.generate(), TAGS.GAP, gap(4, 2).content), gap(8, 2)];
      const codes = Promise.all(gaps.map((one) => codeOf(ingest.gap(author, one))));
      await settle();
      expect([turns.costs.length, ledger.pieces], 'they wait').to.deep.equal([1, 0]);
      end();
      expect(await codes).to.deep.equal(['none', 'link.unauthentic', 'none']);
      expect([turns.costs.length, ingest.isBusy, ledger.pieces]).to.deep.equal([4, false, 2]);
      isCurrent = false;
      expect(await codeOf(ingest.gap(author, gap(12, 2)))).to.equal('link.superseded');
      expect(ingest.isBusy).to.equal(false);
    });

    it('compares one batch of a hub at a time, which costs what is unfolded and hashed for it', async () => {
      const flushes = Array.from({ length: 1_000 }, (_, i) => flush(i));
      await ingest.batch(author, batch(flushes));
      const [whole = 0] = turns.costs.splice(0);
      let spent = 0;
      const unfold = (cost: number) => {
        spent += cost;
      };
      author = { ...author, budget: { ...author.budget, unfold } };
      let end: (() => void) | undefined;
      let read = 0;
      const get = store.get.bind(store);
      store.get = async (key) => {
        read += 1;
        // What others have to do comes between what is read and what is unfolded.
        end ??= await busy();
        return get(key);
      };
      const again = Array.from({ length: 20 }, () => ingest.batch(author, batch(flushes.slice(0, 1))));
      await settle();
      expect(read, 'what others wait with is small').to.equal(1);
      end?.();
      expect(new Set((await Promise.all(again)).map(({ kind }) => kind))).to.deep.equal(new Set(['held']));
      const compared = turns.costs.filter((cost) => cost > whole && cost < 1e9);
      expect(compared).to.have.length(20);
      expect(Math.min(...compared)).to.be.greaterThan(15 * whole);
      expect(spent).to.be.greaterThan(20 * 15 * whole);
      expect(ingest.isBusy).to.equal(false);
    });

    it('looks at nothing any more for a session that has ended while it waited', async () => {
      const flushes = Array.from({ length: 100 }, (_, i) => flush(i));
      await ingest.batch(author, batch(flushes));
      const waiting = Array.from({ length: 5 }, () => codeOf(ingest.batch(author, batch(flushes.slice(0, 1)))));
      isCurrent = false;
      expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set(['link.superseded']));
      expect(ingest.isBusy).to.equal(false);
    });
  });
});
