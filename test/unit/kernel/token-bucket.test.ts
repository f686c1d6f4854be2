import { expect } from 'chai';
import { milliseconds, seconds } from '../../../src/kernel/duration.js';
import { TokenBucket } from '../../../src/kernel/token-bucket.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('token bucket', () => {
  const start = (burst: number, perSecond: number) => {
    const clock = new FakeClock();
    return { clock, bucket: new TokenBucket({ burst, perSecond }, clock) };
  };

  it('gives a burst at once, and then as much as flows in', async () => {
    const { clock, bucket } = start(3, 2);
    for (let i = 0; i < 3; i++) {
      expect(bucket.wait()).to.equal(0);
      bucket.take();
    }
    expect(bucket.wait()).to.equal(500);
    await clock.advance(milliseconds(499));
    expect(bucket.wait()).to.be.greaterThan(0);
    await clock.advance(milliseconds(1));
    expect(bucket.wait()).to.equal(0);
    expect(bucket.isFull).to.equal(false);
    await clock.advance(seconds(3_600));
    expect(bucket.isFull).to.equal(true);
    expect(bucket.wait(3)).to.equal(0);
  });

  it('has what it has told to wait for, whatever the fractions', async () => {
    const { clock, bucket } = start(7, 0.3);
    for (let i = 0; i < 1_000; i++) {
      const amount = 1 + (i % 7) / 3;
      await clock.advance(bucket.wait(amount));
      expect(bucket.wait(amount), `after ${i}`).to.equal(0);
      bucket.take(amount);
    }
  });

  it('lets more than a burst go when it is full, and lets that be paid back', async () => {
    const { clock, bucket } = start(10, 1);
    expect(bucket.wait(25)).to.equal(0);
    bucket.take(25);
    expect(bucket.wait(1)).to.equal(16_000);
    expect(bucket.wait(25)).to.equal(25_000);
    await clock.advance(seconds(25));
    expect(bucket.wait(25)).to.equal(0);
  });

  it('is not moved by the wall clock', () => {
    const { clock, bucket } = start(1, 1);
    bucket.take();
    clock.jumpWall(3_600_000);
    expect(bucket.wait()).to.equal(1_000);
  });
});
