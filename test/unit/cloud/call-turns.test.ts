// Whose call begins next.
import { expect } from 'chai';
import { Caller } from '../../../gen/occmesh/access/v1/access.js';
import { CallBudgets, OF_A_CUSTOMER } from '../../../src/cloud/call-budgets.js';
import { CallTurns, entrance } from '../../../src/cloud/call-turns.js';
import { FakeClock } from '../../support/fake-clock.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('cloud: turns of calls', () => {
  it('begins one of each customer in a turn of the event loop, and all in the end', async () => {
    const turns = new CallTurns();
    const begun: string[] = [];
    const call = (whose: string) => turns.next(whose).then(() => begun.push(whose));
    const calls = [...Array.from({ length: 5 }, () => call('busy')), call('quiet'), call('another')];
    await Promise.resolve();
    await Promise.resolve();
    expect(begun, 'at once').to.deep.equal(['busy', 'quiet', 'another']);
    for (let more = 1; more < 5; more++) {
      expect(begun.filter((whose) => whose === 'busy')).to.have.length(more);
      await turn();
    }
    await Promise.all(calls);
    expect(begun).to.have.length(7);
  });

  it('lets one that asks in between wait for no more than one of a busy customer', async () => {
    const turns = new CallTurns();
    let ofBusy = 0;
    for (let i = 0; i < 200; i++) void turns.next('busy').then(() => ofBusy++);
    for (let i = 0; i < 3; i++) await turn();
    const before = ofBusy;
    await turns.next('quiet');
    expect(ofBusy - before).to.be.at.most(1);
    expect(ofBusy, 'the control').to.be.lessThan(10);
  });

  it('come after the budget, which is for all tokens of a customer; machines wait for neither', async () => {
    const enter = entrance(new CallBudgets(new FakeClock()), new CallTurns());
    const call = (customerId: string, tokenId: string) =>
      enter({ kind: 'user', caller: Caller.CUSTOMER_READER, customerId, tokenId });
    const begun: string[] = [];
    const note = (whose: string) => () => void begun.push(whose);
    const both = [call('busy', 'one').then(note('busy')), call('busy', 'two').then(note('busy'))];
    const quiet = call('quiet', 'one').then(note('quiet'));
    const stranger = enter({ kind: 'anonymous' }).then(note('stranger'));
    await Promise.all([both[0], quiet, stranger]);
    expect(begun.toSorted(), 'the second one of the busy one waits').to.deep.equal(['busy', 'quiet', 'stranger']);
    await both[1];
    const refused = Array.from({ length: OF_A_CUSTOMER.atOnce }, (_, i) => call('busy', `${i}`));
    const outcomes = await Promise.allSettled(refused);
    expect(outcomes.filter(({ status }) => status === 'rejected')).to.have.length(2);
  });
});
