// Who watches is told everything once, also over a lost connection, and however slow others are.
import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import fc from 'fast-check';
import { LedgerEntry } from '../../../../gen/occmesh/store/v1/store.js';
import { Batch, Signed, State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { entryOf, keyOfRange } from '../../../../src/cloud/telemetry/held.js';
import { MOST_BEHIND, type Watched, Watchers, type WatchFilter } from '../../../../src/cloud/telemetry/watch.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { packBatch, unpackBatch } from '../../../../src/telemetry/batch.js';
import type { Flush, Reading } from '../../../../src/telemetry/reading.js';
import { settle } from '../../../support/fake-clock.js';
import { testSeed } from '../../../support/seeded-random.js';

const CUSTOMER = Buffer.alloc(16, 0x21);
const HUBS = [0x22, 0x23].map((byte) => ({ customer: CUSTOMER, machine: Buffer.alloc(16, byte) }));
const [HUB] = HUBS as [(typeof HUBS)[number]];
const LOG = Buffer.alloc(16, 0x33);

const reading = (id: number, sensor = 1): Reading => ({
  ...{ sensor, takenAt: epochMs(1_000 * id), state: State.OK, message: '' },
  values: [{ name: 'id', unit: '', value: id }],
});

describe(`cloud: watching readings (seed ${testSeed})`, () => {
  let store: MemoryStore;
  let watchers: Watchers;
  let stop: AbortController;
  const next = new Map<Buffer, number>();
  beforeEach(() => {
    store = new MemoryStore();
    watchers = new Watchers(store, 16);
    stop = new AbortController();
    next.clear();
  });
  afterEach(() => {
    stop.abort();
    return store.stop();
  });

  /** One batch of a hub, as it would be after it is durable. */
  const stored = async (hub: (typeof HUBS)[number], ...readings: Reading[]) => {
    const firstFlush = next.get(hub.machine) ?? 0;
    next.set(hub.machine, firstFlush + readings.length);
    const flushes: Flush[] = readings.map((one, i) => ({ number: firstFlush + i, readings: [one] }));
    const content = packBatch({ log: LOG, firstFlush, chain: LOG }, flushes);
    const batch = unpackBatch(content);
    const entry = LedgerEntry.encode(entryOf(batch)).finish();
    await store.commit(() => [
      {
        put: keyOfRange(hub, 'batch', LOG, firstFlush),
        value: Signed.encode(Signed.fromPartial({ content })).finish(),
      },
      { put: keyOfRange(hub, 'ledger', LOG, firstFlush), value: entry },
    ]);
    watchers.stored(hub, LOG, batch);
  };

  /** Without a store: many at once. */
  const poured = (readings: Reading[], number = 0) =>
    watchers.stored(HUB, LOG, {
      header: Batch.fromPartial({ firstFlush: number, flushCount: 1 }),
      flushes: () => [{ number, readings }],
    });

  const told = ({ value }: IteratorResult<Watched | 'overrun'>) =>
    value === 'overrun' || !value ? value : value.readings;
  const idsOf = ({ readings }: Watched) => readings.map((one) => one.reading.values[0]?.value ?? -1);

  it('tells each what it asked for, and ends one that does not keep up, without harm to others', async () => {
    const mine = watchers.watch({ machine: HUB.machine }, stop.signal);
    const slow = watchers.watch({ customer: HUB.customer }, stop.signal);
    const others = watchers.watch({ customer: Buffer.alloc(16, 0x7f) }, stop.signal);
    const sensors = new Map([[HUB.machine.toString('hex'), new Set([7])]]);
    const seventh = watchers.watch({ sensors }, stop.signal);
    const first = mine.next();
    const nobody = others.next();
    const chosen = seventh.next();
    void slow.next();
    await settle();
    await stored(HUB, reading(0));
    expect(told(await first)).to.have.length(1);
    const many = Array.from({ length: MOST_BEHIND / 2 }, (_, i) => reading(i));
    for (let i = 1; i < 4; i++) {
      const one = mine.next();
      poured(many, i);
      expect(told(await one)).to.have.length(many.length);
    }
    await stored(HUB, reading(8, 7));
    expect(told(await chosen)).to.have.length(1);
    expect(getEventListeners(stop.signal, 'abort').length, 'one for each who waits').to.be.at.most(3);
    expect((await slow.next()).value).to.equal('overrun');
    expect((await slow.next()).done).to.equal(true);
    stop.abort();
    expect((await nobody).done).to.equal(true);
  });

  it('counts what a watcher is behind in values, too', async () => {
    const values = Array.from({ length: 256 }, (_, i) => ({ name: `m${i}`, unit: '', value: 1 }));
    const large = Array.from({ length: 1_024 }, () => ({ ...reading(0), values }));
    const keeping = watchers.watch({}, stop.signal);
    const slow = watchers.watch({}, stop.signal);
    const first = slow.next();
    for (let i = 0; i < 3; i++) {
      const one = keeping.next();
      await settle();
      poured(large);
      expect(told(await one)).to.have.length(1_024);
    }
    expect(told(await first)).to.have.length(1_024);
    expect((await slow.next()).value).to.equal('overrun');
  });

  it('looks only at what it tells again, however many pieces a hub has made of its log', async () => {
    let read = 0;
    const entries = store.entries.bind(store);
    for (let n = 0; n < 200; n++) {
      // Each with a hole before it, so that nothing is ever merged.
      next.set(HUB.machine, 2 * n);
      await stored(HUB, reading(n));
    }
    store.entries = async function* (range) {
      for await (const entry of entries(range)) {
        read += 1;
        yield entry;
      }
    };
    const stream = watchers.watch({ customer: CUSTOMER }, stop.signal, watchers.position - 10);
    const ids: number[] = [];
    while (ids.length < 10) ids.push(...idsOf((await stream.next()).value as Watched));
    expect(ids).to.deep.equal([190, 191, 192, 193, 194, 195, 196, 197, 198, 199]);
    expect(read).to.be.within(10, 40);
  });

  it('tells by nothing how much others have stored meanwhile', async () => {
    const many = new Watchers(store, 4_096);
    const header = Batch.fromPartial({ firstFlush: 0, flushCount: 1 });
    for (let i = 0; i < 2_000; i++) many.stored(HUB, LOG, { header, flushes: () => [] });
    const stream = many.watch({ customer: Buffer.alloc(16, 0x7f) }, stop.signal, 0);
    expect((await stream.next()).value).to.deep.equal({ readings: [], position: 2_000 });
    const nothing = stream.next();
    const everything = many.watch({}, stop.signal, 0);
    expect((await everything.next()).value, 'whatever is asked for').to.deep.equal({ readings: [], position: 2_000 });
    stop.abort();
    expect((await nothing).done).to.equal(true);
  });

  it('knows the last batches only, and says so', async () => {
    for (let i = 0; i < 20; i++) await stored(HUB, reading(i));
    expect([3, 4, 20, 21, -1, 4.5, Number.NaN].map((position) => watchers.remembers(position))).to.deep.equal([
      ...[false, true, true, false, false, false, false],
    ]);
  });

  it('tells everything once and in order to one who comes back again and again, whatever is merged or stored meanwhile', async () => {
    const step = fc.record({
      hub: fc.nat(1),
      count: fc.integer({ min: 1, max: 3 }),
      cut: fc.boolean(),
      sensor: fc.constantFrom(1, 7),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 15 }), fc.boolean(), async (steps, filtered) => {
        store = new MemoryStore();
        watchers = new Watchers(store, 16);
        next.clear();
        const filter: WatchFilter = filtered
          ? { sensors: new Map(HUBS.map(({ machine }) => [machine.toString('hex'), new Set([7])])) }
          : { customer: CUSTOMER };
        const seen: number[] = [];
        let position = 0;
        let id = 0;
        /** A connection that lasts until everything so far has come. */
        const listen = async () => {
          const connection = new AbortController();
          for await (const watched of watchers.watch(filter, connection.signal, position)) {
            if (watched === 'overrun') throw new Error('far too slow');
            seen.push(...idsOf(watched));
            position = watched.position ?? position;
            if (position === watchers.position) break;
          }
        };
        const wanted: number[] = [];
        for (const { hub, count, cut, sensor } of steps) {
          const readings = Array.from({ length: count }, () => reading(id++, sensor));
          if (!filtered || sensor === 7) wanted.push(...readings.map(({ values }) => values[0]?.value ?? -1));
          await stored(HUBS[hub] as (typeof HUBS)[number], ...readings);
          if (cut) await listen();
        }
        if (position < watchers.position) await listen();
        expect([...seen].sort((a, b) => a - b)).to.deep.equal(wanted);
        await store.stop();
      }),
      { seed: testSeed, numRuns: 60 },
    );
  });

  it('is a test that notices what is told twice: from a position before the last one', async () => {
    for (let i = 0; i < 4; i++) await stored(HUB, reading(i));
    const again = watchers.watch({}, stop.signal, 2);
    const first = (await again.next()).value as Watched;
    expect(idsOf(first)).to.deep.equal([2]);
    expect(idsOf((await again.next()).value as Watched)).to.deep.equal([3]);
    expect((await again.next()).value).to.deep.equal({ readings: [], position: 4 });
  });
});
