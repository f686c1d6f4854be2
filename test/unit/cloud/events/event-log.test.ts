// The event log: everything once and in order, whoever reads, however slowly, and whatever fails.
import { expect } from 'chai';
import fc from 'fast-check';
import type { Event } from '../../../../gen/occmesh/events/v1/events.js';
import { EventLog } from '../../../../src/cloud/events/event-log.js';
import { days, epochMs } from '../../../../src/kernel/duration.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { FakeClock } from '../../../support/fake-clock.js';
import { testSeed } from '../../../support/seeded-random.js';
import { uuidOf } from '../alarms/support.js';

const CUSTOMERS = [uuidOf(1), uuidOf(2)] as const;
const happened = (n: number) => ({ $case: 'machine', value: { machineId: String(n), before: 0, after: 0 } }) as const;
const numberOf = ({ what }: Event): string => (what?.$case === 'machine' ? what.value.machineId : '');

describe('events: log', () => {
  let clock: FakeClock;
  let store: MemoryStore;
  let log: EventLog;
  const open = async () => {
    const opened = new EventLog({ store, clock, customers: () => CUSTOMERS });
    await opened.load();
    store.onReset(() => opened.load());
    return opened;
  };
  beforeEach(async () => {
    clock = new FakeClock();
    store = new MemoryStore();
    log = await open();
  });
  afterEach(() => store.stop());

  const add = async (customerId: string | undefined, n: number) => {
    await store.commit(() => [log.append(customerId, happened(n))]);
    log.told();
  };
  /** Everything after a position, as a reader who goes on where it was. */
  const readOn = async (customerId: string | undefined, from = 0) => {
    const all: Event[] = [];
    let position = from;
    for (;;) {
      const read = await log.read(customerId, position);
      all.push(...read.events);
      if (read.position === position) return { all: all.map(numberOf), position };
      position = read.position;
    }
  };

  it('gives to each what is its own, and to operators all, in order', async () => {
    const own: (string | undefined)[] = [CUSTOMERS[0], CUSTOMERS[1], undefined, CUSTOMERS[1], CUSTOMERS[0]];
    for (const [n, customerId] of own.entries()) await add(customerId, n);
    expect((await readOn(CUSTOMERS[0])).all).to.deep.equal(['0', '4']);
    expect((await readOn(CUSTOMERS[1])).all).to.deep.equal(['1', '3']);
    expect((await readOn(undefined)).all).to.deep.equal(['0', '1', '2', '3', '4']);
  });

  it('goes on after a restart, above all positions that there were', async () => {
    for (let n = 0; n < 3; n++) await add(CUSTOMERS[0], n);
    const { position } = await readOn(undefined);
    store = store.restarted();
    log = await open();
    await add(CUSTOMERS[1], 3);
    expect((await readOn(undefined, position)).all).to.deep.equal(['3']);
    expect((await readOn(undefined)).all).to.deep.equal(['0', '1', '2', '3']);
  });

  it('loses and repeats nothing, however much there is at once and whatever cannot be written', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.nat(2),
            fc.nat({ max: 9 }).map((n) => n === 0),
          ),
          { maxLength: 60 },
        ),
        async (steps) => {
          store = new MemoryStore();
          log = await open();
          const written: string[] = [];
          let position = 0;
          const seen: string[] = [];
          for (const [n, [whose, fails]] of steps.entries()) {
            if (fails) store.failNextWrite();
            await add(CUSTOMERS[whose], n).then(
              () => written.push(String(n)),
              () => undefined,
            );
            if (n % 3 !== 0) continue;
            const read = await log.read(undefined, position);
            seen.push(...read.events.map(numberOf));
            position = read.position;
          }
          seen.push(...(await readOn(undefined, position)).all);
          expect(seen).to.deep.equal(written);
          await store.stop();
        },
      ),
      { seed: testSeed, numRuns: 40 },
    );
  });

  it('gives a reader who is far behind all of it, piece by piece, though one customer has much more than the other', async () => {
    const many = 1_300;
    await store.commit(() =>
      Array.from({ length: many }, (_, n) => log.append(CUSTOMERS[n % 10 === 0 ? 1 : 0], happened(n))),
    );
    expect((await readOn(undefined)).all).to.deep.equal(Array.from({ length: many }, (_, n) => String(n)));
  });

  it('does not show what is not durable', async () => {
    store.failNextWrite();
    const failing = add(CUSTOMERS[0], 1).catch((thrown) => thrown);
    // Asked while it is not known whether it will be: the same failure is the answer.
    const reading = log.read(undefined, 0).catch((thrown) => thrown);
    expect(await failing).to.be.instanceOf(Error);
    expect(await reading).to.have.property('code', 'storage.write-failed');
    expect((await log.read(undefined, 0)).events).to.deep.equal([]);
  });

  it('wakes who waits, and lets go of who gives up', async () => {
    const stop = new AbortController();
    const waiting = log.after(0, stop.signal);
    await add(CUSTOMERS[0], 1);
    await waiting;
    const inVain = log.after(log.last, stop.signal);
    stop.abort();
    await inVain;
  });

  it('looks into the store for nobody to whom nothing happened, whatever happens to others', async () => {
    await add(CUSTOMERS[0], 0);
    const { position } = await readOn(CUSTOMERS[0]);
    let touched = 0;
    const [entries, commit] = [store.entries.bind(store), store.commit.bind(store)];
    for (let n = 1; n <= 10; n++) {
      await add(CUSTOMERS[1], n);
      store.entries = (range) => {
        touched += 1;
        return entries(range);
      };
      store.commit = (build) => {
        touched += 1;
        return commit(build);
      };
      expect(await log.read(CUSTOMERS[0], position)).to.deep.equal({ events: [], position: log.last });
      [store.entries, store.commit] = [entries, commit];
    }
    expect(touched).to.equal(0);
    await add(CUSTOMERS[0], 11);
    expect((await readOn(CUSTOMERS[0], position)).all).to.deep.equal(['11']);
  });

  it('pages back, newest first', async () => {
    for (let n = 0; n < 5; n++) await add(CUSTOMERS[n % 2], n);
    const first = await log.readBack(undefined, Number.MAX_SAFE_INTEGER, 3);
    expect(first.map(numberOf)).to.deep.equal(['4', '3', '2']);
    const rest = await log.readBack(undefined, first.at(-1)?.position ?? 0, 3);
    expect(rest.map(numberOf)).to.deep.equal(['1', '0']);
  });

  it('forgets what is old', async () => {
    await add(CUSTOMERS[0], 1);
    await clock.advance(days(1));
    await add(CUSTOMERS[0], 2);
    await log.forget(epochMs(clock.now() - days(0.5)));
    expect((await readOn(undefined)).all).to.deep.equal(['2']);
  });

  it('forgets all that is old, however much somebody has made happen', async () => {
    const many = Array.from({ length: 2_500 }, (_, n) => n);
    await store.commit(() => many.map((n) => log.append(CUSTOMERS[0], happened(n))));
    await clock.advance(days(1));
    await add(CUSTOMERS[0], 9_999);
    await log.forget(epochMs(clock.now() - days(0.5)));
    expect((await readOn(undefined)).all).to.deep.equal(['9999']);
  });

  it('keeps the newest of one who makes too much happen, and all of others', async () => {
    log = new EventLog({ store, clock, customers: () => CUSTOMERS }, 1_500);
    await add(CUSTOMERS[1], 9_999);
    const many = Array.from({ length: 4_000 }, (_, n) => n);
    await store.commit(() => many.map((n) => log.append(CUSTOMERS[0], happened(n))));
    await log.forget(epochMs(clock.now() - days(0.5)));
    expect((await readOn(CUSTOMERS[0])).all).to.deep.equal(many.slice(-1_500).map(String));
    expect((await readOn(CUSTOMERS[1])).all).to.deep.equal(['9999']);
    // Nothing is counted again for a few more.
    await add(CUSTOMERS[0], 1);
    await log.forget(epochMs(clock.now() - days(0.5)));
    expect((await readOn(CUSTOMERS[0])).all).to.have.length(1_501);
  });

  it('reads no more at once of many customers than of one', async () => {
    const customers = Array.from({ length: 100 }, (_, n) => uuidOf(n + 1));
    log = new EventLog({ store, clock, customers: () => customers });
    for (let round = 0; round < 50; round++)
      await store.commit(() => customers.map((id, n) => log.append(id, happened(round * 100 + n))));
    const all = Array.from({ length: 5_000 }, (_, n) => String(n));
    const { events } = await log.read(undefined, 0);
    expect(events.length).to.be.within(1, 2_000);
    expect((await readOn(undefined)).all).to.deep.equal(all);
    let before = Number.MAX_SAFE_INTEGER;
    const back: string[] = [];
    for (;;) {
      const piece = await log.readBack(undefined, before, 700);
      back.push(...piece.map(numberOf));
      if (piece.length < 700) break;
      before = piece.at(-1)?.position ?? 0;
    }
    expect(back.reverse()).to.deep.equal(all);
  });

  it('goes from what is old to what is new without looking at all that is forgotten between', async () => {
    for (let n = 0; n < 10; n++) {
      // Positions that were given out and never written.
      for (let i = 0; i < 9_000; i++) log.append(CUSTOMERS[0], happened(i));
      await add(CUSTOMERS[n % 2], n);
    }
    const all = Array.from({ length: 10 }, (_, n) => String(n));
    expect((await readOn(undefined)).all).to.deep.equal(all);
    const back = await log.readBack(undefined, Number.MAX_SAFE_INTEGER, 100);
    expect(back.map(numberOf).reverse()).to.deep.equal(all);
  });
});
