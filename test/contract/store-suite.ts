// What every implementation of the key-value port must do. Called with a way to make a store; run by storage.test.ts.
import { expect } from 'chai';
import { describe as text } from '../../src/kernel/fault.js';
import { type Entry, type Op, type Range, StorageFault, type Store } from '../../src/storage/store.js';
import { seededRandom, testSeed } from '../support/seeded-random.js';

/** A store and what the suite needs to know about it beyond the port. */
export interface StoreUnderTest {
  readonly store: Store;
  /** How many shared writes have succeeded. */
  writes(): number;
  /** The next shared write fails. When `applied`, it reaches the disk all the same. */
  failNextWrite(how?: { readonly applied: boolean }): void;
  /** The next `count` attempts to reopen fail. */
  failNextReopen(count: number): void;
  /** What a new process would find, after this one has stopped. */
  restart(): Promise<StoreUnderTest>;
}

export const bytes = (s: string): Buffer => Buffer.from(s, 'latin1');
export const put = (key: string, value: string): Op => ({ put: bytes(key), value: bytes(value) });
export const del = (key: string): Op => ({ del: bytes(key) });
export const ALL: Range = { from: Buffer.of(1), until: Buffer.of(255) };

export async function collect(entries: AsyncIterable<Entry>): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for await (const { key, value } of entries) found.push([key.toString('latin1'), value.toString('latin1')]);
  return found;
}

/** The code of the StorageFault that the promise rejects with; fails when it resolves. */
export async function faultOf(promise: Promise<unknown>): Promise<string> {
  const outcome = await promise.then(
    () => 'resolved',
    (thrown) => (thrown instanceof StorageFault ? thrown.code : `another error: ${text(thrown)}`),
  );
  return outcome;
}

export function storeSuite(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`store: ${name}`, () => {
    let tested: StoreUnderTest;
    let store: Store;
    beforeEach(async () => {
      tested = await make();
      store = tested.store;
    });
    afterEach(() => tested.store.stop());

    describe('reading', () => {
      it('has no value for a key never written, and an empty value for one written so', async () => {
        await store.commit(() => [put('empty', '')]);
        expect(await store.get(bytes('other'))).to.equal(undefined);
        expect((await store.get(bytes('empty')))?.length).to.equal(0);
      });

      it('iterates in unsigned byte order, from included, until not', async () => {
        await store.commit(() => ['b', 'a\xff', 'a', '\x01', 'c', '\xfe', 'a\x00', 'aa'].map((key) => put(key, key)));
        const keys = async (range: Range) => (await collect(store.entries(range))).map(([key]) => key);
        expect(await keys(ALL)).to.deep.equal(['\x01', 'a', 'a\x00', 'aa', 'a\xff', 'b', 'c', '\xfe']);
        expect(await keys({ from: bytes('a'), until: bytes('b') })).to.deep.equal(['a', 'a\x00', 'aa', 'a\xff']);
        expect(await keys({ from: bytes('aa'), until: bytes('z'), limit: 2 })).to.deep.equal(['aa', 'a\xff']);
        expect(await keys({ from: bytes('a'), until: bytes('c'), reverse: true, limit: 2 })).to.deep.equal([
          'b',
          'a\xff',
        ]);
        expect(await keys({ ...ALL, limit: 0 })).to.deep.equal([]);
        expect(await keys({ from: bytes('c'), until: bytes('a') })).to.deep.equal([]);
        expect(await keys({ from: bytes('a'), until: bytes('a') })).to.deep.equal([]);
        expect(await keys({ from: Buffer.alloc(0), until: Buffer.alloc(0) })).to.deep.equal([]);
        expect(await keys({ from: Buffer.alloc(0), until: bytes('a') })).to.deep.equal(['\x01']);
      });

      it('iterates over one moment, whatever is written meanwhile', async () => {
        await store.commit(() => Array.from({ length: 3_000 }, (_, i) => put(`k${String(i).padStart(4, '0')}`, 'old')));
        let seen = 0;
        for await (const { value } of store.entries(ALL)) {
          expect(value.toString()).to.equal('old');
          if (seen++ === 0) await store.commit(() => [put('k0001', 'new'), del('k2999'), put('z', 'new')]);
        }
        expect(seen).to.equal(3_000);
        expect((await store.get(bytes('k0001')))?.toString()).to.equal('new');
        expect(await store.get(bytes('k2999'))).to.equal(undefined);
      });

      it('hands out bytes that are the reader’s own', async () => {
        await store.commit(() => [put('a', 'x')]);
        (await store.get(bytes('a')))?.fill(0);
        for await (const { value } of store.entries(ALL)) value.fill(0);
        expect((await store.get(bytes('a')))?.toString()).to.equal('x');
      });

      it('may be left before the end', async () => {
        await store.commit(() => [put('a', '1'), put('b', '2')]);
        for await (const { key } of store.entries(ALL)) {
          expect(key.toString()).to.equal('a');
          break;
        }
      });
    });

    describe('commit', () => {
      it('keeps what it acknowledged over a restart', async () => {
        await store.commit(() => [put('a', '1'), put('b', '1')]);
        await store.commit(() => [put('a', '2'), del('b')]);
        tested = await tested.restart();
        expect(await collect(tested.store.entries(ALL))).to.deep.equal([['a', '2']]);
      });

      it('applies the operations of one commit in order', async () => {
        await store.commit(() => [put('a', '1'), del('a'), put('a', '3'), put('b', '1'), del('b')]);
        expect(await collect(store.entries(ALL))).to.deep.equal([['a', '3']]);
      });

      it('builds in the order of the calls, synchronously before the write, never in between', async () => {
        const order: number[] = [];
        let counter = 0;
        const append = (i: number) => () => {
          order.push(i);
          return [put(`n${counter++}`, String(i))];
        };
        await Promise.all(Array.from({ length: 50 }, (_, i) => store.commit(append(i))));
        expect(order).to.deep.equal(Array.from({ length: 50 }, (_, i) => i));
        expect((await store.get(bytes('n49')))?.toString()).to.equal('49');
      });

      it('shares one write among commits made together', async () => {
        const before = tested.writes();
        await Promise.all(Array.from({ length: 100 }, (_, i) => store.commit(() => [put(`k${i}`, 'v')])));
        expect(tested.writes() - before).to.equal(1);
        expect(await collect(store.entries(ALL))).to.have.length(100);
      });

      it('shares one write among commits made while another is under way', async () => {
        const before = tested.writes();
        const written = store.commit(() => [put('first', 'v')]);
        const later: Promise<void>[] = [];
        await new Promise<void>((resolve) => setImmediate(resolve));
        for (let i = 0; i < 100; i++) later.push(store.commit(() => [put(`k${i}`, 'v')]));
        await Promise.all([written, ...later]);
        expect(tested.writes() - before).to.be.within(1, 2);
      });

      it('goes on with a commit made at any moment around the end of another', async () => {
        for (let turns = 0; turns < 12; turns++) {
          await store.commit(() => [put('a', '1')]);
          for (let i = 0; i < turns; i++) await Promise.resolve();
          await store.commit(() => [put('b', '1')]);
        }
        expect(await collect(store.entries(ALL))).to.have.length(2);
      });

      it('writes nothing for a build that returns nothing', async () => {
        const before = tested.writes();
        await store.commit(() => undefined);
        await store.commit(() => []);
        expect(tested.writes()).to.equal(before);
      });

      it('resolves a commit that writes nothing only when what it looked at is durable', async () => {
        let exists = false;
        const ends: string[] = [];
        tested.failNextWrite();
        const first = store.commit(() => {
          exists = true;
          return [put('a', '1')];
        });
        const second = store.commit(() => (exists ? undefined : [put('a', '1')]));
        await Promise.all([first.catch(() => ends.push('first')), second.catch(() => ends.push('second'))]);
        expect(ends).to.deep.equal(['first', 'second']);
      });

      it('rejects only the commit whose build throws, with what it threw, and when the group is durable', async () => {
        const refusal = new Error('no');
        const ends: unknown[] = [];
        await Promise.all([
          store.commit(() => [put('a', '1')]).then(() => ends.push('a')),
          store
            .commit(() => {
              throw refusal;
            })
            .catch((thrown) => ends.push(thrown)),
          store.commit(() => [put('c', '1')]).then(() => ends.push('c')),
        ]);
        expect(ends).to.deep.equal(['a', refusal, 'c']);
        expect(await collect(store.entries(ALL))).to.deep.equal([
          ['a', '1'],
          ['c', '1'],
        ]);
      });

      it('refuses keys that are not the caller’s', async () => {
        for (const key of ['', '\x00', '\x00n', '\xff']) {
          const outcome = await store.commit(() => [put('fine', '1'), put(key, 'x')]).catch((thrown) => thrown);
          expect(outcome, JSON.stringify(key)).to.be.instanceOf(TypeError);
        }
        expect(await collect(store.entries(ALL))).to.deep.equal([]);
      });

      it('takes a large commit whole', async () => {
        const large = Buffer.alloc(9 * 1024 * 1024, 7);
        await Promise.all([
          store.commit(() => [{ put: bytes('a'), value: large }]),
          store.commit(() => [{ put: bytes('b'), value: large }]),
        ]);
        expect((await store.get(bytes('b')))?.equals(large)).to.equal(true);
        expect(await store.size()).to.be.greaterThan(18 * 1024 * 1024);
      });

      it('gives back what was deleted in a range, and leaves everything else as it is', async () => {
        const random = seededRandom(testSeed);
        for (let i = 0; i < 8; i++) {
          await store.commit(() => [
            { put: bytes(`gone${i}`), value: random.bytes(1024 * 1024) },
            put(`kept${i}`, `${i}`),
          ]);
        }
        const kept = await collect(store.entries({ from: bytes('kept'), until: bytes('l') }));
        await store.commit(() => Array.from({ length: 8 }, (_, i) => del(`gone${i}`)));
        await store.reclaim({ from: bytes('gone'), until: bytes('h') });
        expect(await store.size()).to.be.lessThan(2 * 1024 * 1024);
        expect(await collect(store.entries(ALL))).to.deep.equal(kept);
      });
    });

    describe('a failed write', () => {
      for (const applied of [false, true]) {
        const how = applied ? ' although it reached the disk' : '';

        it(`counts for nothing${how}, and the next one counts`, async () => {
          await store.commit(() => [put('a', 'old'), put('gone', 'old')]);
          tested.failNextWrite({ applied });
          expect(await faultOf(store.commit(() => [put('a', 'new'), put('b', 'new'), del('gone')]))).to.equal(
            'storage.write-failed',
          );
          const old: [string, string][] = [
            ['a', 'old'],
            ['gone', 'old'],
          ];
          expect(await collect(store.entries(ALL))).to.deep.equal(old);
          await store.commit(() => [put('c', 'new')]);
          tested = await tested.restart();
          expect(await collect(tested.store.entries(ALL))).to.deep.equal([['a', 'old'], ['c', 'new'], ...old.slice(1)]);
        });
      }

      it('rejects the whole group and no other', async () => {
        tested.failNextWrite();
        const failing = [1, 2, 3].map((i) => faultOf(store.commit(() => [put(`f${i}`, 'v')])));
        await new Promise<void>((resolve) => setImmediate(resolve));
        expect(await Promise.all(failing)).to.deep.equal(Array(3).fill('storage.write-failed'));
        await store.commit(() => [put('a', 'v')]);
        expect(await collect(store.entries(ALL))).to.deep.equal([['a', 'v']]);
      });

      it('awaits every onReset listener, which may read, before the next build', async () => {
        const events: string[] = [];
        let state = 0;
        const remove = store.onReset(async () => {
          await new Promise<void>((resolve) => setImmediate(resolve));
          state = Number((await store.get(bytes('state')))?.toString() ?? 0);
          events.push(`reset to ${state}`);
        });
        const next = () => {
          state++;
          events.push(`build ${state}`);
          return [put('state', String(state))];
        };
        await store.commit(next);
        tested.failNextWrite();
        const failed = faultOf(store.commit(next));
        expect(await failed).to.equal('storage.write-failed');
        await store.commit(next);
        expect(events).to.deep.equal(['build 1', 'build 2', 'reset to 1', 'build 2']);
        remove();
        tested.failNextWrite();
        await faultOf(store.commit(next));
        await store.commit(() => undefined);
        expect(events.filter((event) => event.startsWith('reset'))).to.have.length(1);
      });

      it('goes on failing while it cannot reopen, and recovers at the next commit that finds it can', async () => {
        let resets = 0;
        store.onReset(async () => {
          resets++;
        });
        await store.commit(() => [put('a', '1')]);
        tested.failNextWrite({ applied: true });
        tested.failNextReopen(2);
        let built = 0;
        const next = () => {
          built++;
          return [put('a', '2')];
        };
        expect(await faultOf(store.commit(next))).to.equal('storage.write-failed');
        expect(await faultOf(store.commit(next))).to.equal('storage.write-failed');
        expect([built, resets]).to.deep.equal([1, 0]);
        // Whether the second commit met the first or the second attempt is a matter of time.
        const last = [await faultOf(store.commit(() => [put('b', '2')]))];
        if (last[0] !== 'resolved') last.push(await faultOf(store.commit(() => [put('b', '2')])));
        expect(last.at(-1)).to.equal('resolved');
        expect(resets).to.equal(1);
        expect(await collect(store.entries(ALL))).to.deep.equal([
          ['a', '1'],
          ['b', '2'],
        ]);
      });

      it('opens again for whoever reads, although nobody writes', async () => {
        await store.commit(() => [put('a', '1')]);
        tested.failNextWrite();
        tested.failNextReopen(2);
        expect(await faultOf(store.commit(() => [put('a', '2')]))).to.equal('storage.write-failed');
        const reads: string[] = [];
        for (let i = 0; i < 3; i++) reads.push(await faultOf(store.get(bytes('a'))));
        expect(reads.at(-1)).to.equal('resolved');
        expect(await collect(store.entries(ALL))).to.deep.equal([['a', '1']]);
      });

      it('tries again when a listener failed', async () => {
        let calls = 0;
        store.onReset(async () => {
          if (++calls === 1) throw new Error('cannot read');
        });
        tested.failNextWrite();
        expect(await faultOf(store.commit(() => [put('a', '1')]))).to.equal('storage.write-failed');
        // Made while the listener was failing, a commit fails with it; the next one tries again.
        if ((await faultOf(store.commit(() => [put('b', '1')]))) !== 'resolved') {
          await store.commit(() => [put('b', '1')]);
        }
        expect(calls).to.equal(2);
      });
    });

    describe('stop', () => {
      it('waits for the commits already made, refuses later ones and reads, and may be called twice', async () => {
        const made = Array.from({ length: 10 }, (_, i) => store.commit(() => [put(`k${i}`, 'v')]));
        const stopping = Promise.all([store.stop(), store.stop()]);
        expect(await faultOf(store.commit(() => [put('late', 'v')]))).to.equal('storage.closed');
        await Promise.all([stopping, ...made]);
        expect(await faultOf(store.get(bytes('k0')))).to.equal('storage.closed');
        expect(await faultOf(collect(store.entries(ALL)))).to.equal('storage.closed');
        tested = await tested.restart();
        expect(await collect(tested.store.entries(ALL))).to.have.length(10);
      });
    });

    it(`agrees with a map under random operations, failures and restarts (seed ${testSeed})`, async () => {
      const random = seededRandom(testSeed);
      const below = (n: number) => Math.floor(random.uniform() * n);
      const model = new Map<string, string>();
      for (let round = 0; round < 40; round++) {
        const failing = random.uniform() < 0.2;
        if (failing) tested.failNextWrite({ applied: random.uniform() < 0.5 });
        const groups = Array.from({ length: 1 + below(5) }, () =>
          Array.from({ length: 1 + below(4) }, (): Op => {
            const key = `k${below(20)}`;
            return random.uniform() < 0.3 ? del(key) : put(key, random.bytes(below(40)).toString('latin1'));
          }),
        );
        const outcomes = await Promise.all(groups.map((ops) => faultOf(tested.store.commit(() => ops))));
        expect(new Set(outcomes)).to.deep.equal(new Set([failing ? 'storage.write-failed' : 'resolved']));
        for (const op of failing ? [] : groups.flat()) {
          if ('put' in op) model.set(Buffer.from(op.put).toString('latin1'), Buffer.from(op.value).toString('latin1'));
          else model.delete(Buffer.from(op.del).toString('latin1'));
        }
        if (random.uniform() < 0.1) tested = await tested.restart();
        const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(await collect(tested.store.entries(ALL)), `round ${round}`).to.deep.equal(expected);
      }
    });
  });
}
