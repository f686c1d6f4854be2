// A request makes one change: what a second one did could not be told when it is repeated.
import { expect } from 'chai';
import { Journal } from '../../../../src/cloud/records/journal.js';
import { within } from '../../../../src/cloud/records/repeats.js';
import { MemoryStore } from '../../../../src/storage/memory.js';

describe('cloud: changes of requests', () => {
  const store = new MemoryStore();
  const journal = new Journal(store, { list: [] });
  after(async () => {
    journal.close();
    await store.stop();
  });

  const key = (name: string): Buffer => Buffer.from(`key-${name}`);
  const change = (name: string): Promise<string> =>
    journal.change(() => {
      journal.also({ put: key(name), value: Buffer.alloc(1) });
      return name;
    });
  const keep = (result: unknown) => [{ put: key(`of-${result}`), value: Buffer.alloc(1) }];
  const has = async (name: string): Promise<boolean> => (await store.get(key(name))) !== undefined;

  it('are one each: of a second nothing counts', async () => {
    const second = await within({ known: undefined, keep }, async () => {
      expect(await change('first')).to.equal('first');
      return change('second').catch((thrown: unknown) => thrown);
    });
    expect(second).to.be.instanceOf(TypeError);
    expect([await has('first'), await has('of-first')]).to.deep.equal([true, true]);
    expect([await has('second'), await has('of-second')]).to.deep.equal([false, false]);
  });

  it('are as many as there are requests, and any number without one (control)', async () => {
    for (const name of ['a', 'b']) await within({ known: undefined, keep }, () => change(name));
    for (const name of ['c', 'd']) await change(name);
    for (const name of ['a', 'of-a', 'b', 'of-b', 'c', 'd']) expect(await has(name), name).to.equal(true);
    expect(await has('of-c')).to.equal(false);
  });
});
