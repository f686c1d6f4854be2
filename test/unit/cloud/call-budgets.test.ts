// Budgets of calls: one customer uses up its own and nobody else's.
import { expect } from 'chai';
import { Caller } from '../../../gen/occmesh/access/v1/access.js';
import { CallBudgets, OF_A_CUSTOMER, OF_ONE_WHO_SEES_ALL } from '../../../src/cloud/call-budgets.js';
import type { Principal } from '../../../src/contract/callers.js';
import { ContractFault } from '../../../src/contract/fault.js';
import { milliseconds, seconds } from '../../../src/kernel/duration.js';
import { FakeClock } from '../../support/fake-clock.js';

const reader = (customerId: string, tokenId = 'r'): Principal => ({
  ...{ kind: 'user', caller: Caller.CUSTOMER_READER, customerId, tokenId },
});
const operator = (tokenId: string): Principal => ({ kind: 'user', caller: Caller.OPERATOR, tokenId });

describe('cloud: budgets of calls', () => {
  let clock: FakeClock;
  let budgets: CallBudgets;
  beforeEach(() => {
    clock = new FakeClock();
    budgets = new CallBudgets(clock);
  });

  const tried = (principal: Principal): ContractFault | undefined => {
    try {
      budgets.enter(principal)();
      return undefined;
    } catch (thrown) {
      if (!(thrown instanceof ContractFault)) throw thrown;
      return thrown;
    }
  };
  /** Calls, one after another, until one is too many. */
  const used = (principal: Principal): number => {
    let count = 0;
    while (!tried(principal)) count += 1;
    return count;
  };

  it('give each customer its own, whatever tokens it uses, and say when there is more', async () => {
    expect(used(reader('a'))).to.equal(OF_A_CUSTOMER.burst);
    const fault = tried(reader('a', 'another token'));
    expect(fault?.code).to.equal('contract.exhausted');
    expect(fault?.retryAfter, 'after the one before it').to.equal(2_000 / OF_A_CUSTOMER.perSecond);
    expect(tried(reader('b'))).to.equal(undefined);
    await clock.advance(seconds(1));
    expect(used(reader('a'))).to.equal(OF_A_CUSTOMER.perSecond);
    expect(used(reader('b')), 'the control: b has all but one').to.equal(OF_A_CUSTOMER.burst);
  });

  it('tell each one that is refused another moment, so that all who heed it are let in', async () => {
    used(reader('a'));
    const told = Array.from({ length: 30 }, () => tried(reader('a'))?.retryAfter ?? 0);
    let now = 0;
    for (const [i, at] of told.entries()) {
      expect(at, `number ${i}`).to.be.greaterThan(now);
      await clock.advance(milliseconds(at - now));
      now = at;
      expect(tried(reader('a')), `number ${i}`).to.equal(undefined);
    }
    for (let i = 0; i < 10_000; i++) tried(reader('a'));
    expect(tried(reader('a'))?.retryAfter).to.equal(5_000);
  });

  it('give those who see all customers one for each token', () => {
    expect(used(operator('one'))).to.equal(OF_ONE_WHO_SEES_ALL.burst);
    expect(tried(operator('two'))).to.equal(undefined);
  });

  it('bound what goes on at once, and give back what has ended, once', () => {
    const leaves = Array.from({ length: OF_A_CUSTOMER.atOnce }, () => budgets.enter(reader('a')));
    expect(tried(reader('a'))?.message).to.contain('at once');
    expect(tried(reader('b'))).to.equal(undefined);
    leaves[0]?.();
    expect(tried(reader('a'))).to.equal(undefined);
  });

  it('cost machines and strangers nothing: theirs are elsewhere', () => {
    for (let i = 0; i < 10_000; i++) budgets.enter({ kind: 'anonymous' })();
  });

  it('are not kept of those who are at rest', async () => {
    for (let i = 0; i < 5_000; i++) budgets.enter(reader(`c${i}`))();
    await clock.advance(seconds(10));
    // Whoever is in a call is not forgotten.
    const leaves = Array.from({ length: OF_A_CUSTOMER.atOnce }, () => budgets.enter(reader('busy')));
    await clock.advance(seconds(10));
    for (let i = 0; i < 20_000; i++) budgets.enter(reader(`d${i}`))();
    expect(tried(reader('busy'))?.code).to.equal('contract.exhausted');
    for (const leave of leaves) leave();
  });
});
