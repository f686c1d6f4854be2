// Slots: order, and that none is lost when somebody stops waiting.
import { expect } from 'chai';
import { Slots } from '../../../src/sensors/slots.js';
import { settle } from '../../support/fake-clock.js';

const patient = () => new AbortController().signal;

describe('sensors/slots', () => {
  it('gives them out in the order of asking', async () => {
    const slots = new Slots(1);
    const order: string[] = [];
    const first = await slots.acquire(patient());
    const waiting = ['a', 'b'].map(async (name) => {
      const slot = await slots.acquire(patient());
      order.push(name);
      return slot;
    });
    await settle();
    expect(order).to.deep.equal([]);
    first.release();
    await settle();
    expect(order, 'one release, one turn').to.deep.equal(['a']);
    (await waiting[0])?.release();
    await waiting[1];
    expect(order).to.deep.equal(['a', 'b']);
  });

  it('who stops waiting takes no slot along', async () => {
    const slots = new Slots(1);
    const held = await slots.acquire(patient());
    const control = new AbortController();
    const waiting = slots.acquire(control.signal).catch((reason) => reason);
    control.abort('enough');
    expect(await waiting).to.equal('enough');
    held.release();
    await slots.acquire(patient());
  });

  it('releasing twice frees one', async () => {
    const slots = new Slots(1);
    const slot = await slots.acquire(patient());
    slot.release();
    slot.release();
    await slots.acquire(patient());
    let second = false;
    const control = new AbortController();
    const waiting = slots.acquire(control.signal).then(
      () => (second = true),
      () => undefined,
    );
    await settle();
    control.abort();
    await waiting;
    expect(second).to.equal(false);
  });
});
