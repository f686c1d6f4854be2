// Postage: alarms of one customer cannot flood anybody with e-mails, nor keep other customers from theirs.
import { expect } from 'chai';
import { PER_ADDRESS, PER_CUSTOMER, Postage } from '../../../../src/cloud/notify/postage.js';
import { milliseconds, seconds } from '../../../../src/kernel/duration.js';
import { FakeClock } from '../../../support/fake-clock.js';

const HOUR = 3_600;

describe('notify: postage', () => {
  let clock: FakeClock;
  let postage: Postage;
  beforeEach(() => {
    clock = new FakeClock();
    postage = new Postage(clock);
  });

  /** Messages that go within some time to addresses of one's choice, each as soon as it can, the addresses in turn. */
  const flood = async (groups: readonly (readonly string[])[], within: number): Promise<number> => {
    const end = clock.monotonic() + seconds(within);
    let sent = 0;
    while (clock.monotonic() < end) {
      const waits = groups.map((to) => postage.take('c', to));
      sent += groups.flatMap((to, i) => (waits[i] === undefined ? to : [])).length;
      const left = waits.filter((wait) => wait !== undefined);
      if (left.length === groups.length) await clock.advance(milliseconds(Math.min(...left)));
    }
    return sent;
  };

  it('brings one address ten messages at once and twelve an hour, however it is written', async () => {
    const sent = await flood([['victim@example.net'], ['Victim@Example.net']], 10 * HOUR);
    expect(sent).to.be.within(PER_ADDRESS.burst + 118, PER_ADDRESS.burst + 121);
  });

  it('bounds what all addresses of a customer get: 800 of them on 50 channels', async () => {
    const channels = Array.from({ length: 50 }, (_, i) => Array.from({ length: 16 }, (_, j) => `a${i * 16 + j}@b.net`));
    const sent = await flood(channels, 2 * HOUR);
    expect(sent).to.be.within(PER_CUSTOMER.burst + 700, PER_CUSTOMER.burst + 736);
  });

  it('is not shared between customers', async () => {
    const to = ['support@example.net'];
    while (postage.take('c', to) === undefined);
    expect(postage.take('d', to)).to.equal(undefined);
    expect(postage.take('c', ['other@example.net'])).to.equal(undefined);
  });

  it('says when it goes on, and takes nothing until then', async () => {
    const to = ['a@example.net', 'b@example.net'];
    for (let i = 0; i < PER_ADDRESS.burst; i++) expect(postage.take('c', to)).to.equal(undefined);
    const wait = postage.take('c', to);
    expect(wait).to.equal(seconds(300));
    await clock.advance(milliseconds(Number(wait)));
    expect(postage.take('c', to)).to.equal(undefined);
  });
});
