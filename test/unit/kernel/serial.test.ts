// One after another, and side by side.
import { expect } from 'chai';
import { Serial, SerialByKey } from '../../../src/kernel/serial.js';
import { settle } from '../../support/fake-clock.js';

/** Actions that end when the test says so. */
class Actions {
  readonly began: string[] = [];
  readonly #ends = new Map<string, (failure?: Error) => void>();

  of(name: string): () => Promise<string> {
    return () => {
      this.began.push(name);
      return new Promise((resolve, reject) => {
        this.#ends.set(name, (failure) => (failure ? reject(failure) : resolve(name)));
      });
    };
  }

  async end(name: string, failure?: Error): Promise<void> {
    this.#ends.get(name)?.(failure);
    await settle();
  }
}

describe('kernel: one after another', () => {
  it('begins the next when the one before has ended, and be it that it has failed', async () => {
    const actions = new Actions();
    const serial = new Serial();
    const first = serial.run(actions.of('a'));
    const second = serial.run(actions.of('b'));
    const failed = first.catch((error: Error) => error.message);
    await settle();
    expect(actions.began).to.deep.equal(['a']);
    await actions.end('a', new Error('no'));
    expect(await failed).to.equal('no');
    expect(actions.began).to.deep.equal(['a', 'b']);
    await actions.end('b');
    expect(await second).to.equal('b');
    await serial.idle();
  });

  it('keeps those of one key apart, and none of another waiting', async () => {
    const actions = new Actions();
    const serial = new SerialByKey();
    const all = ['one/1', 'one/2', 'two/1'].map((name) => serial.run(name.slice(0, 3), actions.of(name)));
    await settle();
    expect(actions.began).to.deep.equal(['one/1', 'two/1']);
    await actions.end('two/1');
    expect(actions.began).to.have.length(2);
    await actions.end('one/1');
    expect(actions.began).to.deep.equal(['one/1', 'two/1', 'one/2']);
    await actions.end('one/2');
    expect(await Promise.all(all)).to.deep.equal(['one/1', 'one/2', 'two/1']);
  });
});
