// The request that a change belongs to: one change each, since what a second one did could not be told when the request is
// repeated; and nothing that goes on beside it.
import { expect } from 'chai';
import { Journal } from '../../../../src/cloud/records/journal.js';
import { currentRequest, type Repeatable, within } from '../../../../src/cloud/records/repeats.js';
import { turn } from '../../../../src/kernel/turn.js';
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

const request = (result: string): Repeatable => ({ known: { result }, keep: () => [] });

describe('records: repeated requests', () => {
  it('belong to what they run, side by side, and to nothing else', async () => {
    const seen: unknown[] = [];
    const look = async () => {
      await turn();
      seen.push(currentRequest()?.known?.result);
      await turn();
      seen.push(currentRequest()?.known?.result);
    };
    await Promise.all([within(request('one'), look), look(), within(request('two'), look)]);
    expect(seen).to.have.length(6);
    expect(seen.filter((found) => found === 'one')).to.have.length(2);
    expect(seen.filter((found) => found === 'two')).to.have.length(2);
  });

  it('are forgotten when the last one has ended, also by what they have begun, and begin again', async () => {
    let later: Promise<Repeatable | undefined> | undefined;
    const begin = async () => {
      later = (async () => {
        for (let i = 0; i < 5; i++) await turn();
        return currentRequest();
      })();
    };
    await within(request('first'), begin);
    expect(currentRequest()).to.equal(undefined);
    expect(await later).to.equal(undefined);
    const again = request('again');
    expect(await within(again, async () => currentRequest()?.known?.result)).to.equal('again');
    const failed = await within(again, () => Promise.reject(new Error('no'))).catch((error: Error) => error.message);
    expect(failed).to.equal('no');
    expect(currentRequest()).to.equal(undefined);
  });
});
