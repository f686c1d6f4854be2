// One flipped bit in what a hub or the cloud has on its disk: healed, or a gap, or a refusal that names the repair; never
// silent.
//
// Found so far (all mended):
//   - A repaired cloud kept the ledger entry of a batch that was damaged: it went on saying that it held the readings, and
//     no hub sent them again. Second test, third round, any seed; now also in
//     test/unit/cloud/telemetry/mend.test.ts.
//   - After a repair that had cost the operator's token (a new one was made) and then a restore, nobody could log in any
//     more: the file held the new token, the store knew the old one. TEST_SEED=41, second test.
//   - A crash in the middle of a repair or restore left a cloud that began with half a store, or none, as if all was well.
//     Found by reading: the moment is too short for a kill from outside; see src/cloud/backup/restore.ts.
import { join } from 'node:path';
import { expect } from 'chai';
import { TABLES } from '../../src/cloud/tables.js';
import type { HubProcess } from '../../src/demo/mesh.js';
import type { Verdict } from '../../src/demo/verdict.js';
import { uuidBytes } from '../../src/identity/uuid.js';
import { sleep, systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { type FlippedBit, flipBit, flipBitBehind } from '../support/damage.js';
import { occ } from '../support/occ.js';
import { RoughMesh } from '../support/rough-mesh.js';
import { testSeed } from '../support/seeded-random.js';

const LOG = /^\d+\.log$/;
const TABLE = /^\d+\.ldb$/;
const REST = /^(MANIFEST-\d+|CURRENT|COMMITTED)$/;

/** What a gap has on record is not silent; whatever else is wrong is. */
const silent = ({ lost, duplicated, altered }: Verdict) => ({ lost, duplicated, altered });
const NOTHING = { lost: 0, duplicated: 0, altered: 0 };

describe('one flipped bit', function () {
  this.timeout(180_000);

  it(`in the log of a hub, with readings in it that nobody else has (TEST_SEED=${testSeed})`, async () => {
    await using rough = await RoughMesh.start({ hubs: 2, sensors: 20 });
    const { mesh, random } = rough;
    const places = [
      ...[LOG, TABLE, REST, LOG].map((names) => ({ folder: 'log/store', names })),
      { folder: 'log', names: /^mark$/ },
    ];
    for (const { folder, names } of places) {
      mesh.internet.cut();
      await sleep(systemClock, seconds(1.5));
      await Promise.all(rough.hubs.map(({ process }) => process.kill()));
      const flips = [];
      for (const { directory } of rough.hubs) flips.push(await flipBit(join(directory, folder), names, random));
      mesh.internet.mend();
      const verdict = await rough.settled(seconds(30));
      expect(silent(verdict), JSON.stringify({ verdict, flips })).to.deep.equal(NOTHING);
    }
    rough.passed();
  });

  it(`in the store of the cloud (TEST_SEED=${testSeed})`, async () => {
    await using rough = await RoughMesh.start({ hubs: 2, sensors: 20 });
    const { mesh, random } = rough;
    const data = join(rough.directory, 'cloud');
    expect(silent(await rough.settled(seconds(30)))).to.deep.equal(NOTHING);
    const backup = await occ('cloud', 'backup', '--client', join(data, 'client.yaml'), '--json');
    expect(backup.code, backup.stderr).to.equal(0);
    const { path } = JSON.parse(backup.stdout) as { path: string };
    let refused = 0;
    for (const [round, names] of [LOG, TABLE, undefined, REST, LOG].entries()) {
      await rough.pause(seconds(2));
      await mesh.cloud.kill();
      const store = join(data, 'store');
      const flip = names ? await flipBit(store, names, random) : await flipBatch(store, mesh.customerId, rough.hubs);
      expect(flip).to.not.equal(undefined);
      const from = (await mesh.cloud.log()).length;
      if (!(await rough.startCloud())) {
        refused += 1;
        expect(mesh.cloud.exitCode).to.equal(5);
        expect((await mesh.cloud.log()).slice(from)).to.contain(`occ cloud repair --data ${data}`);
        const what = round % 2 === 0 ? ['repair'] : ['restore', '--from', path];
        const helped = await occ('cloud', ...what, '--data', data, '--json');
        expect(helped.code, helped.stderr).to.equal(0);
        expect(await rough.startCloud(), await mesh.cloud.log()).to.equal(true);
      }
      const verdict = await rough.settled(seconds(30));
      expect(silent(verdict), JSON.stringify({ verdict, flip, round })).to.deep.equal(NOTHING);
    }
    expect(refused).to.be.greaterThan(0);
    rough.passed();
  });
});

/** Behind the rest of its key (log and flush) and its checksum. */
const INSIDE_A_BATCH = 24 + 5 + 20;

/** In a batch itself, whose ledger entry stays good: the one kind of damage that could pass for no damage. */
async function flipBatch(
  store: string,
  customerId: string,
  hubs: readonly HubProcess[],
): Promise<FlippedBit | undefined> {
  for (const { machineId } of hubs) {
    const key = Buffer.concat([uuidBytes(customerId), Buffer.of(TABLES.batch), uuidBytes(machineId)]);
    const flip = await flipBitBehind(store, TABLE, key, INSIDE_A_BATCH);
    if (flip) return flip;
  }
  return undefined;
}
