// Who is let in next when very many hubs come at the same time.
import { expect } from 'chai';
import { Reception } from '../../../../src/cloud/sessions/reception.js';
import { type Duration, milliseconds, seconds } from '../../../../src/kernel/duration.js';
import { LinkFault } from '../../../../src/link/fault.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';

/** A hub gives up after this. */
const PATIENCE = seconds(15);
/** What it takes the cloud to admit one: a hundred in a second. */
const WORK = milliseconds(10);
const STEP = milliseconds(100);

/** A reception that begins with everybody at once, as if there were none. */
const none = { check: () => undefined, enter: async () => () => undefined };

/** Hubs that come all at once to a cloud that does one thing after the other, whether or not the hub still waits for it. */
async function storm(
  clock: FakeClock,
  reception: Pick<Reception, 'check' | 'enter'>,
  customers: readonly string[],
  until: Duration,
) {
  const random = seededRandom(testSeed);
  const upAt: (number | undefined)[] = customers.map(() => undefined);
  const work: (() => void)[] = [];
  let wasted = 0;
  let most = 0;
  const attempt = async (hub: number): Promise<void> => {
    const customer = customers[hub] ?? '';
    const began = clock.monotonic();
    const again = (wait: Duration) => void clock.after(wait, () => void attempt(hub));
    try {
      reception.check(customer);
      const leave = await reception.enter(customer);
      const isThere = () => clock.monotonic() < began + PATIENCE;
      if (isThere() || reception === none) {
        await new Promise<void>((resolve) => work.push(resolve));
        if (isThere()) upAt[hub] = clock.monotonic();
        else wasted += 1;
      }
      leave();
      if (upAt[hub] === undefined) again(milliseconds(random.uniform() * 10_000));
    } catch (thrown) {
      if (!(thrown instanceof LinkFault) || thrown.retryAfter === undefined) throw thrown;
      again(thrown.retryAfter);
    }
  };
  for (const hub of customers.keys()) void attempt(hub);
  for (let now = 0; now < until && upAt.includes(undefined); now += STEP) {
    await settle();
    most = Math.max(most, work.length);
    for (const done of work.splice(0, STEP / WORK)) done();
    await clock.advance(STEP);
  }
  return { upAt, wasted, most };
}

describe(`sessions: reception (seed ${testSeed})`, () => {
  const times = (upAt: readonly (number | undefined)[]) => upAt.filter((at) => at !== undefined).sort((a, b) => a - b);

  it('lets 4,000 hubs that come at once in about as fast as the cloud can, and nothing is done in vain', async () => {
    const clock = new FakeClock();
    const hubs = Array.from({ length: 4_000 }, (_, i) => `customer ${i % 40}`);
    const { upAt, wasted, most } = await storm(
      clock,
      new Reception({ clock, random: seededRandom(testSeed) }),
      hubs,
      seconds(90),
    );
    expect(times(upAt)).to.have.length(4_000);
    expect(times(upAt).at(-1), 'where 40 s are needed').to.be.lessThan(60_000);
    expect(wasted).to.equal(0);
    expect(most, 'at the same time').to.be.lessThan(257);
  });

  it('has few of them up where everybody is begun with at once (the control)', async () => {
    const clock = new FakeClock();
    const { upAt, wasted } = await storm(
      clock,
      none,
      Array.from({ length: 4_000 }, () => ''),
      seconds(90),
    );
    expect(times(upAt).length).to.be.lessThan(3_000);
    expect(wasted).to.be.greaterThan(3_000);
  });

  it('lets a few hubs of one customer pass thousands of another', async () => {
    const clock = new FakeClock();
    const hubs = [...Array.from({ length: 3_000 }, () => 'large'), ...Array.from({ length: 10 }, () => 'small')];
    const { upAt } = await storm(clock, new Reception({ clock, random: seededRandom(testSeed) }), hubs, seconds(60));
    const small = times(upAt.slice(3_000));
    expect(small).to.have.length(10);
    expect(small.at(-1), 'those who are inside take 2.6 s').to.be.lessThan(4_000);
    expect(times(upAt).at(-1), 'the large one').to.be.greaterThan(20_000);
  });

  it('tells nobody to come later as long as few come', async () => {
    const clock = new FakeClock();
    const reception = new Reception({ clock, random: seededRandom(testSeed) });
    const leaves = await Promise.all(Array.from({ length: 256 }, () => reception.enter('a')));
    let inside = 0;
    const waiting = Array.from({ length: 200 }, () => reception.enter('a').then((leave) => [leave, ++inside] as const));
    await settle();
    expect(inside).to.equal(0);
    for (const leave of leaves) leave();
    for (const one of waiting) (await one)[0]();
    expect(inside).to.equal(200);
  });
});
