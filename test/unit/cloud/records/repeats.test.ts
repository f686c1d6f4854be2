// The request that a change belongs to, and nothing that goes on beside it.
import { expect } from 'chai';
import { currentRequest, type Repeatable, within } from '../../../../src/cloud/records/repeats.js';
import { turn } from '../../../../src/kernel/turn.js';

const request = (): Repeatable => ({ known: undefined, keep: () => [] });

describe('records: repeated requests', () => {
  it('belong to what they run, side by side, and to nothing else', async () => {
    const [one, two] = [request(), request()];
    const seen: (Repeatable | undefined)[] = [];
    const look = async () => {
      await turn();
      seen.push(currentRequest());
      await turn();
      seen.push(currentRequest());
    };
    await Promise.all([within(one, look), look(), within(two, look)]);
    expect(seen).to.have.length(6);
    expect(seen.filter((found) => found === one)).to.have.length(2);
    expect(seen.filter((found) => found === two)).to.have.length(2);
  });

  it('are forgotten when the last one has ended, also by what they have begun, and begin again', async () => {
    let later: Promise<Repeatable | undefined> | undefined;
    const begin = async () => {
      later = (async () => {
        for (let i = 0; i < 5; i++) await turn();
        return currentRequest();
      })();
    };
    await within(request(), begin);
    expect(currentRequest()).to.equal(undefined);
    expect(await later).to.equal(undefined);
    const again = request();
    expect(await within(again, async () => currentRequest())).to.equal(again);
    const failed = await within(again, () => Promise.reject(new Error('no'))).catch((error: Error) => error.message);
    expect(failed).to.equal('no');
    expect(currentRequest()).to.equal(undefined);
  });
});
