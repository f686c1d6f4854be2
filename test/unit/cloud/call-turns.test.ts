// Whose call begins next.
import { expect } from 'chai';
import { CallTurns } from '../../../src/cloud/call-turns.js';

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
});
