// What of group commit the shared suite cannot see from outside: which operations share a write.
import { expect } from 'chai';
import { GroupCommit } from '../../../src/storage/group-commit.js';
import type { Op } from '../../../src/storage/store.js';

function recording(maxGroupBytes?: number) {
  const groups: number[] = [];
  let inFlight = 0;
  const commits = new GroupCommit(maxGroupBytes === undefined ? {} : { maxGroupBytes }, {
    write: async (ops) => {
      expect(++inFlight, 'writes at a time').to.equal(1);
      await new Promise<void>((resolve) => setImmediate(resolve));
      groups.push(ops.length);
      inFlight--;
    },
    recover: async () => undefined,
  });
  return { commits, groups };
}

const op = (bytes: number): Op => ({ put: Buffer.from('k'), value: Buffer.alloc(bytes - 1) });

describe('group commit', () => {
  it('closes a group at its byte bound', async () => {
    const { commits, groups } = recording(1_000);
    await Promise.all(Array.from({ length: 10 }, () => commits.commit(() => [op(300)])));
    expect(groups).to.deep.equal([4, 4, 2]);
  });

  it('gives a commit beyond the bound a group of its own', async () => {
    const { commits, groups } = recording(1_000);
    await Promise.all([op(5_000), op(5_000), op(10)].map((one) => commits.commit(() => [one])));
    expect(groups).to.deep.equal([1, 1, 1]);
  });

  it('asks a build only when its group is next', async () => {
    const { commits, groups } = recording(1_000);
    const seen: number[] = [];
    const build = () => {
      seen.push(groups.length);
      return [op(1_000)];
    };
    await Promise.all([commits.commit(build), commits.commit(build), commits.commit(build)]);
    expect(seen).to.deep.equal([0, 1, 2]);
  });

  it('takes a thousand commits in flight in few writes', async () => {
    const { commits, groups } = recording();
    let left = 5_000;
    const client = async () => {
      while (left-- > 0) await commits.commit(() => [op(10)]);
    };
    await Promise.all(Array.from({ length: 1_000 }, client));
    expect(groups.length).to.be.at.most(6);
    expect(groups.reduce((sum, n) => sum + n)).to.equal(5_000);
  });

  it('takes a very large build without running out of stack', async () => {
    const { commits, groups } = recording();
    await commits.commit(() => Array.from({ length: 300_000 }, () => op(1)));
    expect(groups).to.deep.equal([300_000]);
  });
});
