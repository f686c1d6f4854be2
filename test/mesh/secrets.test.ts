// What becomes of a hub and its secrets when it is moved, installed anew or has lost its key; and how much it may hold. Real
// processes.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { MachineState, SecretState, type Sensor } from '../../src/client/index.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { seconds } from '../../src/kernel/duration.js';
import {
  clock,
  endMesh,
  LogMark,
  PATIENCE,
  startMesh,
  storedReadings,
  untilPath,
  untilReports,
} from '../support/mesh-site.js';

describe('a hub and its secrets', function () {
  this.timeout(120_000);
  let mesh: LocalMesh;
  let hub: HubProcess;
  let sensor: Sensor;
  const way = () => ['--no-multicast', '--no-direct', '--connector', `127.0.0.1:${mesh.connectorPort}`];

  before(async () => {
    mesh = await startMesh();
    await mesh.startConnector();
    hub = await mesh.addHub('hub', way());
    await mesh.quicken(hub.machineId, seconds(1));
    await untilPath(mesh, hub, 'connector');
    sensor = await addSensor('web');
    await enter(sensor);
    await untilState(SecretState.READY);
  });
  after(() => endMesh(mesh));

  const addSensor = (name: string): Promise<Sensor> =>
    mesh.client.sensors.createSensor({
      machineId: hub.machineId,
      kind: 'http',
      name,
      settings: { url: 'http://127.0.0.1:9/', auth: 'bearer' },
      intervalMs: 3_600_000,
      timeoutMs: 900,
    });

  const enter = ({ id }: Sensor, plaintext = Buffer.from('hunter2')) =>
    mesh.client.setSecret({ sensorId: id, field: 'token', plaintext });

  async function states(): Promise<(SecretState | undefined)[]> {
    const { secrets } = await mesh.client.secrets.listSecrets({ machineId: hub.machineId, pageSize: 1_000 });
    return secrets.filter(({ field }) => field === 'token').map(({ state }) => state);
  }

  const untilState = (wanted: SecretState) =>
    until(
      async () => (await states()).every((state) => state === wanted),
      PATIENCE,
      clock,
      async () =>
        `the secrets are not ${SecretState[wanted]}: ${await states()}\n${(await hub.process.log()).slice(-2_000)}`,
    );

  it('moves to another connector and stays the same, with what it has', async () => {
    const before = await mesh.machine(hub.machineId);
    const stored = await storedReadings(mesh, hub.machineId);
    const other = await mesh.addConnector('other');
    await hub.process.stop();
    await mesh.connector.stop();
    hub.process.start(['--connector', `127.0.0.1:${other.port}`]);
    await until(
      async () => (await mesh.machine(hub.machineId)).connectorId === other.machineId,
      PATIENCE,
      clock,
      () => 'it is not behind the other connector',
    );
    await untilReports(mesh, hub.machineId);
    const { id, name, enrolledAtMs, quarantined } = await mesh.machine(hub.machineId);
    expect({ id, name, enrolledAtMs, quarantined }).to.deep.equal({
      id: before.id,
      name: before.name,
      enrolledAtMs: before.enrolledAtMs,
      quarantined: false,
    });
    expect(await storedReadings(mesh, hub.machineId)).to.be.at.least(stored);
    await untilState(SecretState.READY);
    await hub.process.stop();
    await mesh.restartConnector();
    hub.process.start();
    await untilPath(mesh, hub, 'connector');
  });

  it('that has lost its key goes on, and says which secrets must be entered again', async () => {
    await hub.process.stop();
    await rm(join(hub.directory, 'sealing.key'));
    hub.process.start();
    await untilState(SecretState.KEY_LOST);
    await untilReports(mesh, hub.machineId);
    await enter(sensor);
    await untilState(SecretState.READY);
  });

  it('that is installed anew comes back as itself; whoever has its old disk stays out', async () => {
    const before = await mesh.machine(hub.machineId);
    const stored = await storedReadings(mesh, hub.machineId);
    const { sensors } = await mesh.client.sensors.listSensors({ machineId: hub.machineId });
    await hub.process.stop();
    const { text, token } = await mesh.client.tokens.createEnrollmentToken({ machineId: hub.machineId });
    expect(token).to.include({ machineId: hub.machineId, customerId: mesh.customerId, uses: 1 });
    const file = join(mesh.options.directory, 'again.token');
    await writeFile(file, text, { mode: 0o600 });
    const fresh = mesh.process('fresh', [
      ...['hub', '--data', join(mesh.options.directory, 'fresh'), '--interface', 'lo', ...way()],
      ...['--ssdp-port', String(mesh.options.ssdpPort), '--token-file', file],
    ]);
    fresh.start();
    await until(
      async () => (await mesh.machine(hub.machineId)).state === MachineState.ONLINE,
      PATIENCE,
      clock,
      async () => `it is not back:\n${(await fresh.log()).slice(-2_000)}`,
    );
    await untilReports(mesh, hub.machineId);
    const machine = await mesh.machine(hub.machineId);
    expect(machine).to.include({ name: before.name, enrolledAtMs: before.enrolledAtMs, quarantined: false });
    expect(
      (await mesh.client.sensors.listSensors({ machineId: hub.machineId })).sensors.map(({ id }) => id),
    ).to.deep.equal(sensors.map(({ id }) => id));
    expect(await storedReadings(mesh, hub.machineId)).to.be.greaterThan(stored);
    expect((await mesh.machines()).filter(({ name }) => name === before.name)).to.have.length(1);
    await untilState(SecretState.KEY_LOST);
    await enter(sensor);
    await untilState(SecretState.READY);

    const mark = await LogMark.now(hub.process);
    hub.process.start();
    await mark.until(/retired|revoked|denied/);
    await hub.process.stop();
    expect(await mesh.machine(hub.machineId)).to.include({ state: MachineState.ONLINE, quarantined: false });
  });

  it('may hold as much as the contract says, and seals all of it anew', async () => {
    const many = await Promise.all(Array.from({ length: 100 }, (_, i) => addSensor(`large ${i}`)));
    // 100 times 4 KiB and what is around them: less than 512 KiB, more than anybody queues of one hub.
    for (const one of many) await enter(one, Buffer.alloc(4_096, 'x'));
    await untilState(SecretState.READY);
    const more = await Promise.all(Array.from({ length: 30 }, (_, i) => addSensor(`more ${i}`)));
    let refused = 0;
    for (const one of more) {
      await enter(one, Buffer.alloc(4_096, 'x')).catch((thrown: Error & { code: string }) => {
        expect(thrown.code).to.equal('contract.exhausted');
        refused += 1;
      });
    }
    expect(refused, 'there is a limit').to.be.greaterThan(0);
    for (const { id } of more) await mesh.client.sensors.deleteSensor({ id });
    await mesh.client.machines.rotateSealingKey({ id: hub.machineId });
    await until(
      async () => !(await mesh.machine(hub.machineId)).rotating,
      PATIENCE,
      clock,
      () => 'the key is not replaced',
    );
    await untilState(SecretState.READY);
    expect((await states()).length).to.equal(101);
  });
});
