import { expect } from 'chai';
import type { CallContext } from '../../../src/contract/handlers.js';
import { HealthService, ServingStatus } from '../../../src/contract/health.js';

describe('health', () => {
  it('is watched by no more strangers than it can bear, and by others when they have gone', async () => {
    const health = new HealthService();
    const watch = () => {
      const gone = new AbortController();
      const context = { signal: gone.signal } as CallContext;
      return { gone, answers: health.implementation.watch({ service: '' }, context)[Symbol.asyncIterator]() };
    };
    const watchers = Array.from({ length: 1_000 }, watch);
    for (const { answers } of watchers) expect((await answers.next()).value.status).to.equal(ServingStatus.SERVING);
    const refused = await watch()
      .answers.next()
      .catch((thrown) => thrown);
    expect(refused.code).to.equal('contract.exhausted');
    watchers[0]?.gone.abort();
    expect((await watchers[0]?.answers.next())?.done).to.equal(true);
    expect((await watch().answers.next()).value.status).to.equal(ServingStatus.SERVING);
  });
});
