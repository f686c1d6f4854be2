// Whose batch is next: customers take turns by what their batches cost, LIVE goes before BACKFILL, hubs take turns.
import { expect } from 'chai';
import { Lane } from '../../../../gen/occmesh/link/v1/link.js';
import { Turns } from '../../../../src/cloud/telemetry/turns.js';
import { settle } from '../../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';

const KIB = 1_024;
/** Of a batch with a hundred readings. */
const BATCH = 20 * KIB;
const id = (name: string): Buffer => Buffer.from(name.padEnd(16, '.'));

/** What waits for turns, and a store that does what has its turn: step by step, in the order in which it was begun. */
class Bench {
  readonly order: string[] = [];
  readonly #under: { name: string; cost: number; end: () => void }[] = [];
  #waiting = 0;

  constructor(readonly turns: Pick<Turns, 'take'> = new Turns()) {}

  /** `name`: customer and hub. */
  add(name: string, { lane = Lane.LIVE, cost = BATCH } = {}): void {
    const [customer = '', hub = ''] = name.split('/');
    this.#waiting += 1;
    void this.turns.take({ customer: id(customer), machine: id(hub) }, lane, cost).then((end) => {
      this.#waiting -= 1;
      this.order.push(name);
      this.#under.push({ name, cost, end });
    });
  }

  get underWay(): readonly { readonly name: string; readonly cost: number }[] {
    return this.#under;
  }

  /** Ends the oldest; resolves with its name. */
  async step(): Promise<string> {
    await settle();
    const oldest = this.#under.shift();
    if (!oldest) throw new Error('nothing is under way');
    oldest.end();
    await settle();
    return oldest.name;
  }

  async all(): Promise<string[]> {
    await settle();
    while (this.#waiting > 0 || this.#under.length > 0) await this.step();
    return this.order;
  }
}

/** First come, first served, with the same room: what the promises must be seen to fail with. */
function inOrderOfArrival(): Pick<Turns, 'take'> {
  const turns = new Turns();
  return { take: (_whose, _lane, cost) => turns.take({ customer: id(''), machine: id('') }, Lane.LIVE, cost) };
}

/** How many batches of others are stored before the one that a quiet customer sends beside a thousand of a noisy one. */
async function waitOfQuiet(bench: Bench): Promise<number> {
  for (let i = 0; i < 1_000; i++) bench.add(`noisy/hub ${i % 100}`);
  await settle();
  bench.add('quiet/hub');
  for (let before = 0; ; before++) if ((await bench.step()) === 'quiet/hub') return before;
}

/** The same for LIVE behind the backlog of its own customer. */
async function waitOfLive(bench: Bench): Promise<number> {
  for (let i = 0; i < 1_000; i++) bench.add(`one/hub ${i % 100}`, { lane: Lane.BACKFILL });
  await settle();
  bench.add('one/live');
  for (let before = 0; ; before++) if ((await bench.step()) === 'one/live') return before;
}

describe(`cloud: turns of batches (seed ${testSeed})`, () => {
  const random = seededRandom(testSeed);

  it('lets a quiet customer wait for little more than what is under way, however much a noisy one has', async () => {
    // 4 MiB under way, and what is left of the other's turn.
    expect(await waitOfQuiet(new Bench())).to.be.within(204, 210);
    expect(await waitOfQuiet(new Bench(inOrderOfArrival())), 'the control').to.equal(1_000);
  });

  it('lets LIVE wait for nothing of its own backlog but what is under way', async () => {
    expect(await waitOfLive(new Bench())).to.be.within(204, 206);
    expect(await waitOfLive(new Bench(inOrderOfArrival())), 'the control').to.equal(1_000);
  });

  it('gives each customer the same, in what its batches cost', async () => {
    const bench = new Bench();
    const costs = { small: 17 * KIB, middle: 100 * KIB, large: 700 * KIB };
    for (const [customer, cost] of Object.entries(costs)) {
      for (let left = 200_000 * KIB; left > 0; left -= cost) bench.add(`${customer}/${left % 7}`, { cost });
    }
    await settle();
    const stored = new Map<string, number>();
    for (let sum = 0; sum < 100_000 * KIB; ) {
      const [customer = ''] = (await bench.step()).split('/');
      const cost = costs[customer as keyof typeof costs];
      stored.set(customer, (stored.get(customer) ?? 0) + cost);
      sum += cost;
    }
    for (const [customer, cost] of stored) expect(cost / KIB, customer).to.be.closeTo(33_333, 4_200);
    expect(stored.size).to.equal(3);
  });

  it('never has more under way than there is room, but for one that is larger; and leaves nobody out', async () => {
    const bench = new Bench();
    let count = 0;
    for (let round = 0; round < 300; round++) {
      for (let i = random.uniform() * 20; i > 0; i--) {
        const cost = Math.ceil(random.uniform() ** 6 * 3_000) * KIB;
        const lane = random.uniform() < 0.5 ? Lane.LIVE : Lane.BACKFILL;
        bench.add(`${Math.floor(random.uniform() * 9)}/${Math.floor(random.uniform() * 9)}`, { cost, lane });
        count += 1;
      }
      await settle();
      const under = bench.underWay.map(({ cost }) => cost);
      const sum = under.reduce((a, b) => a + b, 0);
      expect(sum <= 4_096 * KIB || under.length === 1, `${under.length} batches of ${sum} bytes`).to.equal(true);
      for (let i = Math.min(under.length, random.uniform() * 20); i > 1; i--) await bench.step();
    }
    expect(await bench.all()).to.have.length(count);
  });

  it('lets a backlog through behind LIVE that never ends', async () => {
    const bench = new Bench(new Turns(BATCH));
    bench.add('one/old', { lane: Lane.BACKFILL });
    for (let i = 0; i < 100; i++) bench.add('one/live');
    bench.add('one/old', { lane: Lane.BACKFILL });
    const order = await bench.all();
    expect(order.indexOf('one/old')).to.equal(0);
    expect(order.lastIndexOf('one/old')).to.equal(16);
  });

  it('lets the hubs of a customer take turns', async () => {
    const bench = new Bench(new Turns(BATCH));
    for (let i = 0; i < 3; i++) bench.add('one/a');
    bench.add('one/b');
    bench.add('one/c');
    expect(await bench.all()).to.deep.equal(['one/a', 'one/a', 'one/b', 'one/c', 'one/a']);
  });

  it('charges what is larger than the room with all that it costs', async () => {
    const bench = new Bench(new Turns(BATCH));
    bench.add('one/first');
    for (let i = 0; i < 3; i++) bench.add('huge/hub', { cost: 640 * KIB });
    for (let i = 0; i < 90; i++) bench.add('small/hub');
    const order = await bench.all();
    const places = order.flatMap((name, at) => (name === 'huge/hub' ? [at] : []));
    // 640 KiB are 32 batches.
    for (const [i, place] of places.entries()) expect(place).to.be.within(24 * (i + 1), 34 * (i + 1));
  });

  it('has what finds its costs on its way wait for each part, holding nothing meanwhile', async () => {
    const turns = new Turns(BATCH);
    const whose = { customer: id('one'), machine: id('hub') };
    const paid: [number, boolean][] = [];
    const pay = async (cost: number) => {
      paid.push([cost, turns.isBusy]);
      if (cost > 100) throw new Error('too much');
    };
    const did = await turns.during(whose, Lane.LIVE, pay, async (afford) => {
      expect(turns.isBusy).to.equal(false);
      for (const cost of [1, 2]) {
        await afford(cost);
        expect(turns.isBusy).to.equal(true);
      }
      return 'done';
    });
    expect([did, turns.isBusy]).to.deep.equal(['done', false]);
    expect(paid).to.deep.equal([
      [1, false],
      [2, false],
    ]);
    for (const [cost, message] of [
      [101, 'too much'],
      [1, 'broken'],
    ] as const) {
      const failing = turns.during(whose, Lane.LIVE, pay, async (afford) => {
        await afford(1);
        await afford(cost);
        throw new Error('broken');
      });
      expect(await failing.catch((thrown: Error) => thrown.message)).to.equal(message);
      expect(turns.isBusy).to.equal(false);
    }
  });
});
