// A cloud that was restored from an earlier backup: hubs heal it. What was stored after the backup comes back, versions go
// on above, a machine that the backup does not know is taken in again, one that was retired stays out.
//
// Found so far (all mended):
//   - A gap that the cloud had recorded after its backup was in nobody's books afterwards: what it stood for was lost
//     without a word. Second test, any seed.
//   - A machine that was released stayed in quarantine until its session ended for another reason. First test, any seed.
import { join } from 'node:path';
import { expect } from 'chai';
import { type Machine, MachineState } from '../../src/client/index.js';
import { until } from '../../src/demo/processes.js';
import { systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { occ } from '../support/occ.js';
import { flaws, PERFECT, RoughMesh } from '../support/rough-mesh.js';

describe('a cloud restored from an earlier backup', function () {
  this.timeout(180_000);

  it('is healed from the hubs', async () => {
    await using rough = await RoughMesh.start({ hubs: 2, sensors: 20 });
    const { mesh } = rough;
    const { client } = mesh;
    const data = join(rough.directory, 'cloud');
    const [old, doomed] = rough.hubs;
    if (!old || !doomed) throw new Error('two hubs');

    const backup = await occ('cloud', 'backup', '--client', join(data, 'client.yaml'), '--json', '--name', 'early');
    expect(backup.code, backup.stderr).to.equal(0);
    const { path } = JSON.parse(backup.stdout) as { path: string };

    // After the backup: readings, a sensor, a hub; and a hub that is retired.
    const sensor = await client.sensors.createSensor({ machineId: old.machineId, kind: 'load', intervalMs: 1_000 });
    const young = await rough.addHub('young', 10);
    await client.machines.retireMachine({ id: doomed.machineId });
    await rough.pause(seconds(3));
    await rough.untilDelivered(seconds(20), [old, young]);
    const before = await mesh.machine(old.machineId);

    const early = await occ('cloud', 'restore', '--from', path, '--data', data);
    expect(early.code, 'a running cloud must not be touched').to.equal(5);
    expect(early.stderr).to.contain('the cloud is running');
    await mesh.cloud.stop();
    const restored = await occ('cloud', 'restore', '--from', path, '--data', data, '--json');
    expect(restored.code, restored.stderr).to.equal(0);
    expect(await rough.startCloud(), await mesh.cloud.log()).to.equal(true);

    rough.forget(doomed);
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);

    // Numbers and versions that were given out after the backup are not given out again.
    const next = await client.sensors.createSensor({ machineId: old.machineId, kind: 'load', intervalMs: 1_000 });
    expect(next.number).to.be.greaterThan(sensor.number);
    await untilMachine(rough, old.machineId, (machine) => machine.runningVersion === machine.configVersion);
    const after = await mesh.machine(old.machineId);
    expect(after.configVersion).to.be.greaterThan(before.configVersion);
    expect({ error: after.configError, quarantined: after.quarantined }).to.deep.equal({
      error: '',
      quarantined: false,
    });

    // The hub that the backup does not know: its readings are kept, it is given nothing until somebody has looked.
    await untilMachine(
      rough,
      young.machineId,
      ({ state, quarantined }) => state === MachineState.ONLINE && quarantined,
    );
    const released = await occ('machines', 'release', young.machineId, '--client', join(data, 'client.yaml'));
    expect(released.code, released.stderr).to.equal(0);
    await client.sensors.createSensor({ machineId: young.machineId, kind: 'load', intervalMs: 1_000 });
    await untilMachine(
      rough,
      young.machineId,
      (machine) => !machine.quarantined && machine.runningVersion === machine.configVersion,
    );

    // What was retired stays retired.
    await doomed.process.stop();
    doomed.process.start();
    await doomed.process.untilLog(/has been retired/, seconds(20));
    const states = (await client.machines.listMachines({ includeRetired: true })).machines;
    expect(states.find(({ id }) => id === doomed.machineId)?.state).to.equal(MachineState.RETIRED);

    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
    rough.passed();
  });

  it('knows again what the hubs had told it to be gone', async () => {
    // So little room that the readings of a few seconds without a cloud do not fit.
    await using rough = await RoughMesh.start({ hubs: 1, sensors: 60, hubArgs: ['--wal-size', '8KiB'] });
    const { mesh } = rough;
    const data = join(rough.directory, 'cloud');
    const [hub] = rough.hubs;
    if (!hub) throw new Error('one hub');
    const backup = await occ('cloud', 'backup', '--client', join(data, 'client.yaml'), '--json');
    const { path } = JSON.parse(backup.stdout) as { path: string };
    mesh.internet.cut();
    await hub.process.untilLog(/the log is full/, seconds(60));
    mesh.internet.mend();
    const before = await rough.settled();
    expect({ ...flaws(before), inGaps: before.inGaps > 0 }).to.deep.equal({ ...PERFECT, inGaps: true });

    await mesh.cloud.stop();
    const restored = await occ('cloud', 'restore', '--from', path, '--data', data);
    expect(restored.code, restored.stderr).to.equal(0);
    expect(await rough.startCloud(), await mesh.cloud.log()).to.equal(true);
    const after = await rough.settled();
    expect({ ...flaws(after), inGaps: after.inGaps > 0 }).to.deep.equal({ ...PERFECT, inGaps: true });
    rough.passed();
  });
});

async function untilMachine(rough: RoughMesh, id: string, is: (machine: Machine) => boolean): Promise<void> {
  await until(
    async () => (await rough.mesh.machines()).some((machine) => machine.id === id && is(machine)),
    seconds(30),
    systemClock,
    async () => `${JSON.stringify(await rough.mesh.machine(id))}: ${await rough.tails()}`,
  );
}
