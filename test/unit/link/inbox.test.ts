// The order of what comes in, whatever handling does: waits, fails, or brings more in from inside.
import { expect } from 'chai';
import { Inbox } from '../../../src/link/inbox.js';
import { settle } from '../../support/fake-clock.js';

const envelope = (n: number): Uint8Array => Uint8Array.of(n);

describe('link: inbox', () => {
  it('handles what comes from inside of handling after what waits already', async () => {
    const order: number[] = [];
    const inbox: Inbox = new Inbox(
      ([n = 0]) => {
        order.push(n);
        if (n === 1) return Promise.resolve();
        // As a carrier does that delivers at once what an answer has brought about.
        if (n === 2) inbox.push(envelope(4));
        order.push(-n);
        return undefined;
      },
      () => undefined,
      100,
    );
    for (const n of [1, 2, 3]) inbox.push(envelope(n));
    await settle();
    expect(order).to.deep.equal([1, 2, -2, 3, -3, 4, -4]);
  });

  it('does not nest', () => {
    const order: number[] = [];
    const inbox: Inbox = new Inbox(
      ([n = 0]) => {
        order.push(n);
        if (n < 3) inbox.push(envelope(n + 1));
        order.push(-n);
        return undefined;
      },
      () => undefined,
      100,
    );
    inbox.push(envelope(1));
    expect(order).to.deep.equal([1, -1, 2, -2, 3, -3]);
  });

  it('stops at the first failure, thrown or rejected, and tells it once', async () => {
    for (const fail of [
      () => {
        throw new Error('no');
      },
      () => Promise.reject(new Error('no')),
    ]) {
      const [handled, failures]: [number[], unknown[]] = [[], []];
      const inbox = new Inbox(
        ([n = 0]) => {
          handled.push(n);
          return n === 2 ? fail() : undefined;
        },
        (thrown) => failures.push(thrown),
        100,
      );
      for (const n of [1, 2, 3]) inbox.push(envelope(n));
      await settle();
      inbox.push(envelope(4));
      expect(handled).to.deep.equal([1, 2]);
      expect(failures).to.have.length(1);
    }
  });

  it('handles nothing after it was closed, not even what waits', async () => {
    const handled: number[] = [];
    const inbox: Inbox = new Inbox(
      async ([n = 0]) => {
        handled.push(n);
      },
      () => undefined,
      100,
    );
    inbox.push(envelope(1));
    inbox.push(envelope(2));
    inbox.close();
    await settle();
    expect(handled).to.deep.equal([1]);
  });

  it('counts what waits, and gives room again', async () => {
    const failures: unknown[] = [];
    let go: () => void = () => undefined;
    const inbox = new Inbox(
      () => new Promise<void>((resolve) => (go = resolve)),
      (thrown) => failures.push(thrown),
      2,
    );
    for (let round = 0; round < 5; round++) {
      for (const n of [1, 2]) inbox.push(envelope(n));
      for (let i = 0; i < 2; i++) {
        go();
        await settle();
      }
    }
    expect(failures).to.have.length(0);
    for (const n of [1, 2, 3, 4]) inbox.push(envelope(n));
    expect(failures).to.have.length(1);
  });
});
