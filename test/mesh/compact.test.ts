// A cloud whose store has been compacted: everything is merged that can be, and hubs and services notice nothing of it.
import { join } from 'node:path';
import { expect } from 'chai';
import { seconds } from '../../src/kernel/duration.js';
import { occ } from '../support/occ.js';
import { flaws, PERFECT, RoughMesh } from '../support/rough-mesh.js';

describe('a cloud that was compacted', function () {
  this.timeout(90_000);

  it('has every reading once, goes on where it was, and is compacted again', async () => {
    await using rough = await RoughMesh.start({ hubs: 2, sensors: 5 });
    const data = join(rough.directory, 'cloud');
    for (let round = 0; round < 2; round++) {
      await rough.pause(seconds(4));
      expect(flaws(await rough.settled(seconds(30)))).to.deep.equal(PERFECT);
      const running = await occ('cloud', 'compact', '--data', data);
      expect(running.code, 'while it runs').to.equal(5);
      await rough.mesh.cloud.stop();
      const done = await occ('cloud', 'compact', '--data', data, '--json');
      expect(done.code, done.stderr).to.equal(0);
      const { merges } = JSON.parse(done.stdout) as { merges: number };
      expect(merges).to.be.at.least(rough.hubs.length);
      expect(await rough.startCloud()).to.equal(true);
    }
    expect(flaws(await rough.settled(seconds(30)))).to.deep.equal(PERFECT);
    rough.passed();
  });
});
