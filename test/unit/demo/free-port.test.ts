// Ports at which processes are found again: none that a connection might get meanwhile, and none that is taken.
import { createServer } from 'node:net';
import { expect } from 'chai';
import { freePort } from '../../../src/demo/free-port.js';
import { systemRandom } from '../../../src/kernel/random.js';

describe('free ports', () => {
  it('are none of those that the system gives away by itself', async () => {
    for (const share of [0, 0.5, 1 - 2 ** -48]) {
      const first = [share];
      const port = await freePort({ uniform: () => first.shift() ?? systemRandom.uniform() });
      expect(port).to.be.within(20_000, 32_767);
    }
  });

  it('are none that somebody listens on', async () => {
    const taken = await freePort();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(taken, '127.0.0.1', resolve));
    try {
      const share = (port: number) => (port - 20_000 + 0.5) / 12_768;
      const shares = [share(taken), share(taken), share(20_000)];
      expect(await freePort({ uniform: () => shares.shift() ?? share(20_001) })).not.to.equal(taken);
      expect(shares.length, 'the taken one was tried').to.be.lessThan(2);
      const never: unknown = await freePort({ uniform: () => share(taken) }).catch((thrown: unknown) => thrown);
      expect(String(never)).to.contain('is free');
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
