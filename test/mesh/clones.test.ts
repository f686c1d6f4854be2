// Copies of a hub's data directory: an older one put back, one that runs beside its original, one on another machine.
// Nothing is lost, nothing contradicts, and somebody is told.
//
// Found so far: nothing.
import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Machine } from '../../src/client/index.js';
import type { HubProcess } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { occ } from '../support/occ.js';
import { flaws, PERFECT, RoughMesh } from '../support/rough-mesh.js';

describe('a copied hub', function () {
  this.timeout(120_000);
  let rough: RoughMesh;

  before(async () => {
    rough = await RoughMesh.start({ hubs: 1, sensors: 30 });
  });
  after(async () => {
    await rough?.[Symbol.asyncDispose]();
  });

  const hub = (): HubProcess => {
    const [first] = rough.hubs;
    if (!first) throw new Error('no hub');
    return first;
  };

  async function untilHub(is: (machine: Machine) => boolean): Promise<void> {
    const machine = () => rough.mesh.machine(hub().machineId);
    await until(
      async () => is(await machine()),
      seconds(30),
      systemClock,
      async () => `${JSON.stringify(await machine())}: ${await rough.tails()}`,
    );
  }

  async function release(): Promise<void> {
    const client = join(rough.directory, 'cloud', 'client.yaml');
    const released = await occ('machines', 'release', hub().machineId, '--client', client);
    expect(released.code, released.stderr).to.equal(0);
    await rough.mesh.client.sensors.createSensor({ machineId: hub().machineId, kind: 'load', intervalMs: 1_000 });
    await untilHub(
      ({ quarantined, runningVersion, configVersion }) => !quarantined && runningVersion === configVersion,
    );
  }

  it('put back from an older copy: its readings stay and go on, it is shown and can be released', async () => {
    const { directory, process } = hub();
    await process.stop();
    await cp(directory, `${directory}.older`, { recursive: true });
    // More than one session, since the last generation but one is good as well.
    for (let session = 0; session < 2; session++) {
      await rough.startHub(hub());
      await process.stop();
    }
    await rename(directory, `${directory}.newer`);
    await rename(`${directory}.older`, directory);
    process.start();
    await untilHub(({ quarantined }) => quarantined);
    expect(await rough.mesh.cloud.log()).to.contain('hub was rolled back or cloned: quarantined');
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
    await release();
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
  });

  it('that runs beside its original: both are kept, each reading once, and it is shown', async () => {
    const { mesh, directory } = rough;
    const original = hub();
    // With something in its log that the cloud does not have: both copies will deliver it.
    mesh.internet.cut();
    await rough.pause(seconds(3));
    await cp(original.directory, join(directory, 'clone'), { recursive: true });
    const journal = join(directory, 'clone.journal');
    const args = [...original.process.options.args, '--data', join(directory, 'clone'), '--journal', journal];
    const clone = mesh.process('clone', args);
    clone.start();
    await clone.untilLog(/hub is running/, seconds(10));
    rough.judged(original.machineId, journal);
    mesh.internet.mend();
    await untilHub(({ quarantined }) => quarantined);
    await rough.pause(seconds(5));
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
    expect(await readFile(journal, 'utf8')).to.not.equal('');
    // What it has recorded since, nobody will hear of.
    await clone.kill();
    rough.journals.set(original.machineId, [original.journal]);
    // Released before the original is back, it would be taken for the older one of the two once more.
    await original.process.stop();
    await rough.startHub(original);
    await release();
    const { lost, inGaps, altered } = await rough.settled();
    expect({ lost, inGaps, altered }).to.deep.equal({ lost: 0, inGaps: 0, altered: 0 });
    // Both have measured the same machine, at times the same in the same millisecond: only both together tell what is double.
    rough.judged(original.machineId, journal);
    expect((await rough.verdict()).duplicated).to.equal(0);
  });

  it('on another machine refuses to start, and says how to make it a machine of its own', async () => {
    const elsewhere = join(rough.directory, 'elsewhere');
    await hub().process.stop();
    await cp(hub().directory, elsewhere, { recursive: true });
    const path = join(elsewhere, 'machine.json');
    const record = JSON.parse(await readFile(path, 'utf8')) as { fingerprint: string };
    await writeFile(path, JSON.stringify({ ...record, fingerprint: 'f'.repeat(64) }));
    const { code, stderr } = await occ('hub', '--data', elsewhere, '--interface', 'lo', '--no-multicast');
    if (record.fingerprint === '') {
      expect(code, 'a system without an id of its own cannot tell').to.equal(0);
    } else {
      expect(code, stderr).to.equal(6);
      expect(stderr).to.contain('occ hub reset-identity');
    }
    rough.passed();
  });
});
