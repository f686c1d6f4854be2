// How often a device may be made to answer.
import { expect } from 'chai';
import { ANSWER_LIMITS, AnswerLimit } from '../../../src/discovery/answer-limit.js';
import { milliseconds, seconds } from '../../../src/kernel/duration.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('answer limit', () => {
  const start = () => {
    const clock = new FakeClock();
    return { clock, limit: new AnswerLimit(ANSWER_LIMITS, { clock }) };
  };
  const granted = (limit: AnswerLimit, source: string, tries: number) =>
    Array.from({ length: tries }, () => limit.take(source, 1)).filter(Boolean).length;

  it('gives one source five answers in a second', async () => {
    const { clock, limit } = start();
    expect(granted(limit, '192.0.2.1', 100)).to.equal(5);
    await clock.advance(milliseconds(199));
    expect(granted(limit, '192.0.2.1', 100)).to.equal(0);
    await clock.advance(milliseconds(1));
    expect(granted(limit, '192.0.2.1', 100)).to.equal(1);
    await clock.advance(seconds(60));
    expect(granted(limit, '192.0.2.1', 100)).to.equal(5);
  });

  it('gives all sources together fifty', async () => {
    const { clock, limit } = start();
    let total = 0;
    for (let i = 0; i < 200; i++) total += granted(limit, `192.0.2.${i}`, 5);
    expect(total).to.equal(50);
    await clock.advance(seconds(1));
    expect(granted(limit, '192.0.2.250', 100)).to.equal(5);
  });

  it('counts a refusal as nothing', () => {
    const { limit } = start();
    expect(limit.take('192.0.2.1', 3)).to.equal(true);
    expect(limit.take('192.0.2.1', 3)).to.equal(false);
    expect(limit.take('192.0.2.1', 2)).to.equal(true);
  });

  it('is not moved by the wall clock', () => {
    const { clock, limit } = start();
    granted(limit, '192.0.2.1', 5);
    clock.jumpWall(3_600_000);
    expect(limit.take('192.0.2.1', 1)).to.equal(false);
  });

  it('remembers few sources, whatever number is forged', async () => {
    const { clock, limit } = start();
    for (let i = 0; i < 2_000; i++) {
      limit.take(`10.0.${i >> 8}.${i & 255}`, 1);
      await clock.advance(milliseconds(5));
    }
    expect(limit.size).to.be.within(1, 2 * ANSWER_LIMITS.inAll);
  }).timeout(20_000);
});
