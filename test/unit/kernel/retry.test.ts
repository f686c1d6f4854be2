// When one who was not answered tries again.
import { expect } from 'chai';
import { RECONNECT, RetryWaits } from '../../../src/kernel/retry.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

describe(`kernel: retries (seed ${testSeed})`, () => {
  it('waits longer and longer while nobody says anything', () => {
    const waits = new RetryWaits(RECONNECT, seededRandom(testSeed));
    const all = Array.from({ length: 60 }, () => waits.next(0));
    all.forEach((wait, i) => {
      expect(wait).to.be.within(0, Math.min(60_000, 1_000 * 1.6 ** i) + 1e-6);
    });
    expect(Math.max(...all)).to.be.greaterThan(40_000);
  });

  it('comes when the other side says, however often it was in vain before, and begins anew after that', () => {
    const waits = new RetryWaits(RECONNECT, seededRandom(testSeed));
    for (let i = 0; i < 60; i++) waits.next(0);
    for (let i = 0; i < 60; i++) expect(waits.next(5_000)).to.equal(5_000);
    expect(waits.next(0)).to.be.lessThan(1_600);
  });

  it('does not hurry for one that asks for a moment only, again and again', () => {
    const waits = new RetryWaits(RECONNECT, seededRandom(testSeed));
    const all = Array.from({ length: 60 }, () => waits.next(1));
    expect(Math.min(...all)).to.be.at.least(1);
    expect(Math.max(...all)).to.be.greaterThan(40_000);
  });
});
