// Credit for backlogs: never more on its way than the budget, nobody starves, nobody's unused credit keeps others waiting.
import { expect } from 'chai';
import { CreditBank, type Debtor } from '../../../../src/cloud/sessions/credit.js';
import { seconds } from '../../../../src/kernel/duration.js';
import { FakeClock } from '../../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';

const KIB = 1_024;
const BATCH = 48 * KIB;

class Hub implements Debtor {
  credit = 0;
  backlog = 0;
  sent = 0;
  inFlight: number[] = [];

  granted = false;
  grantedAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly customerId: string,
    private readonly clock = new FakeClock(),
  ) {}

  grant(bytes: number): void {
    this.credit += bytes;
    this.granted = true;
    this.grantedAt = this.clock.monotonic();
  }

  /** As a hub does: as long as there is credit, one batch more. */
  send(bank: CreditBank): boolean {
    if (this.credit <= 0 || this.backlog <= 0) return false;
    const bytes = Math.min(BATCH, this.backlog);
    this.credit -= bytes;
    this.backlog -= bytes;
    this.sent += bytes;
    expect(bank.arrived(this, bytes), 'a hub that keeps to its credit').to.equal(true);
    this.inFlight.push(bytes);
    return true;
  }

  store(bank: CreditBank): void {
    const bytes = this.inFlight.shift();
    if (bytes !== undefined) bank.stored(this, bytes);
  }
}

describe(`sessions: credit (seed ${testSeed})`, () => {
  const random = seededRandom(testSeed);

  it('never has more on its way than the budget, nor more than half of it of one customer', async () => {
    const clock = new FakeClock();
    const bank = new CreditBank(clock);
    const hubs = Array.from({ length: 60 }, (_, i) => new Hub(`customer ${i % 3}`, clock));
    for (const hub of hubs) {
      hub.backlog = Math.floor(random.uniform() * 3_000_000);
      bank.wants(hub, hub.backlog);
    }
    // Credit that has not been used for long is expected no more.
    const expected = ({ credit, backlog, grantedAt }: Hub) =>
      clock.monotonic() < grantedAt + 1_000 ? Math.max(0, Math.min(credit, backlog)) : 0;
    const onItsWay = (some: readonly Hub[]) =>
      some.reduce((sum, hub) => sum + hub.inFlight.reduce((a, b) => a + b, 0) + expected(hub), 0);
    let grants = 0;
    for (let step = 0; step < 20_000; step++) {
      const hub = hubs[Math.floor(random.uniform() * hubs.length)];
      if (!hub) continue;
      const dice = random.uniform();
      if (dice < 0.4) hub.send(bank);
      else if (dice < 0.8) hub.store(bank);
      else if (dice < 0.85) bank.wants(hub, hub.backlog);
      else if (dice < 0.851) await clock.advance(seconds(1));
      // Where the budget has just become smaller, what was granted before stays: it binds those who are granted more.
      const granted = new Set(hubs.filter((h) => h.granted).map(({ customerId }) => customerId));
      for (const h of hubs) h.granted = false;
      if (granted.size === 0) continue;
      grants += 1;
      // A batch that is larger than the credit that was left goes beyond it.
      const slack = hubs.length * BATCH;
      expect(bank.claimed).to.be.at.most(bank.budget + slack);
      expect(onItsWay(hubs)).to.be.at.most(bank.budget + slack);
      for (const customer of granted) {
        const its = hubs.filter((h) => h.customerId === customer);
        expect(onItsWay(its)).to.be.at.most(bank.budget / 2 + its.length * BATCH);
      }
    }
    expect(grants).to.be.greaterThan(100);
  });

  it('serves everybody in turn until nothing waits', () => {
    const bank = new CreditBank(new FakeClock());
    const hubs = Array.from({ length: 50 }, () => new Hub('one'));
    for (const hub of hubs) {
      hub.backlog = 1_000_000;
      bank.wants(hub, hub.backlog);
    }
    let rounds = 0;
    while (hubs.some(({ backlog }) => backlog > 0)) {
      expect(rounds++, 'rounds').to.be.lessThan(4_000);
      for (const hub of hubs) while (hub.send(bank));
      const amounts = hubs.map(({ sent }) => sent);
      expect(Math.max(...amounts) - Math.min(...amounts)).to.be.at.most(2 * 256 * KIB + 2 * BATCH);
      for (const hub of hubs) while (hub.inFlight.length > 0) hub.store(bank);
    }
    expect(bank.claimed).to.equal(0);
  });

  it('is not used up by hubs that were granted credit and then have nothing to send', () => {
    const bank = new CreditBank(new FakeClock());
    const idle = Array.from({ length: 100 }, () => new Hub('one'));
    for (const hub of idle) {
      bank.wants(hub, 1_000);
      bank.wants(hub, 0);
    }
    expect(bank.claimed).to.equal(0);
    const busy = new Hub('one');
    busy.backlog = 5_000_000;
    bank.wants(busy, busy.backlog);
    expect(busy.credit).to.be.greaterThan(0);
  });

  it('is not used up by hubs that say they would send and do not, nor by those that send a little', async () => {
    const clock = new FakeClock();
    const bank = new CreditBank(clock);
    const liars = Array.from({ length: 24 }, (_, i) => new Hub(`customer ${i % 4}`));
    const honest = new Hub('another');
    for (const liar of liars) bank.wants(liar, 2 ** 50);
    honest.backlog = 5_000_000;
    bank.wants(honest, honest.backlog);
    expect(honest.credit, 'all has been granted').to.equal(0);
    for (let beat = 0; beat < 120; beat++) {
      await clock.advance(seconds(1));
      for (const liar of liars) {
        bank.arrived(liar, 100);
        bank.stored(liar, 100);
        bank.wants(liar, 2 ** 50);
      }
      bank.wants(honest, honest.backlog);
      while (honest.send(bank)) honest.store(bank);
    }
    expect(honest.sent, 'in two minutes').to.equal(5_000_000);
    // What they were granted is theirs all the same.
    for (const liar of liars) if (liar.credit > 0) expect(bank.arrived(liar, 100_000)).to.equal(true);
  });

  it('comes back when a session ends, whatever was on its way', () => {
    const bank = new CreditBank(new FakeClock());
    const first = Array.from({ length: 10 }, () => new Hub('one'));
    for (const hub of first) bank.wants(hub, 5_000_000);
    const waiting = new Hub('one');
    bank.wants(waiting, 5_000_000);
    expect(waiting.credit).to.equal(0);
    for (const hub of first) {
      bank.forget(hub);
      bank.stored(hub, 1_000);
    }
    expect(waiting.credit).to.be.greaterThan(0);
    bank.forget(waiting);
    bank.forget(waiting);
    expect(bank.claimed).to.equal(0);
  });

  it('leaves the other half to others when one customer takes all it may', () => {
    const bank = new CreditBank(new FakeClock());
    const greedy = Array.from({ length: 20 }, () => new Hub('busy'));
    for (const hub of greedy) bank.wants(hub, 5_000_000);
    expect(bank.claimed).to.be.at.most(bank.budget / 2);
    const other = new Hub('quiet');
    bank.wants(other, 1_000_000);
    expect(other.credit).to.be.greaterThan(0);
  });

  it('lets customers take turns: one hub is not kept waiting by a hundred of another customer', () => {
    const roundsBeside = (customerId: string) => {
      const bank = new CreditBank(new FakeClock());
      const hubs = Array.from({ length: 100 }, () => new Hub('large'));
      const one = new Hub(customerId);
      for (const hub of [...hubs, one]) {
        hub.backlog = hub === one ? 1_000_000 : 50_000_000;
        bank.wants(hub, hub.backlog);
      }
      let rounds = 0;
      for (; one.backlog > 0; rounds++) {
        for (const hub of [...hubs, one]) while (hub.send(bank));
        for (const hub of [...hubs, one]) while (hub.inFlight.length > 0) hub.store(bank);
      }
      return rounds;
    };
    const [small, large] = [roundsBeside('small'), roundsBeside('large')];
    expect(small).to.be.lessThan(100);
    expect(large, 'the control: where it is one more of the same customer').to.be.greaterThan(3 * small);
  });

  it('notices backlog that was never granted: a batch beyond is an overshoot, more is not', () => {
    const bank = new CreditBank(new FakeClock());
    const hub = new Hub('x');
    expect(bank.arrived(hub, 1), 'nothing granted at all').to.equal(false);
    bank.wants(hub, 10_000_000);
    let sent = 0;
    while (bank.arrived(hub, BATCH)) sent += BATCH;
    expect(sent).to.be.within(hub.credit, hub.credit + 288 * KIB);
  });

  it('grows with what is stored in a quarter of a second, up to 64 MiB, and falls again', async () => {
    const clock = new FakeClock();
    const bank = new CreditBank(clock);
    const hub = new Hub('x');
    const smallest = bank.budget;
    const pass = async (perSecond: number) => {
      for (let second = 0; second < 30; second++) {
        for (let i = 0; i < 10; i++) bank.stored(hub, perSecond / 10);
        await clock.advance(seconds(1));
        bank.stored(hub, 0);
      }
    };
    await pass(10_000_000);
    expect(bank.budget).to.be.within(9_000_000 / 4, 10_100_000 / 4);
    await pass(1_000_000_000);
    expect(bank.budget).to.equal(64 * 1_024 * KIB);
    await pass(0);
    expect(bank.budget).to.equal(smallest);
  });
});
