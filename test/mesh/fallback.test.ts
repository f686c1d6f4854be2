// From connector to the direct path and back: when, for how long, and who may not. Real processes.
import { expect } from 'chai';
import { Path } from '../../src/client/index.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { seconds } from '../../src/kernel/duration.js';
import {
  clock,
  endMesh,
  expectExactlyOnce,
  LogMark,
  PATIENCE,
  pathOf,
  startMesh,
  storedReadings,
  untilPath,
  untilReports,
} from '../support/mesh-site.js';

const FALLBACK_AFTER = seconds(4);
/** Trying everything else comes first, on a busy machine. */
const LATE = seconds(4);
/** A connector that was a path for less does not count as one that was there. */
const ESTABLISHED = seconds(11);
const INTERVAL = seconds(1);

describe('fallback to the direct path', () => {
  let mesh: LocalMesh;
  let free: HubProcess;
  let forbiddenHere: HubProcess;
  let forbiddenByCloud: HubProcess;
  const hubs = () => [free, forbiddenHere, forbiddenByCloud];

  before(async () => {
    mesh = await startMesh({ fallbackAfter: FALLBACK_AFTER });
    await mesh.startConnector();
    const byHand = ['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`];
    free = await mesh.addHub('free', byHand);
    forbiddenHere = await mesh.addHub('forbidden-here', [...byHand, '--no-direct']);
    forbiddenByCloud = await mesh.addHub('forbidden-by-cloud', byHand);
    await mesh.client.machines.updateMachine({ id: forbiddenByCloud.machineId, directAllowed: false });
    for (const { machineId } of hubs()) await mesh.quicken(machineId, INTERVAL);
    for (const hub of hubs()) await untilPath(mesh, hub, 'connector');
    await Promise.all(hubs().map((hub) => policyArrived(hub)));
  });
  after(() => endMesh(mesh));

  const policyArrived = ({ machineId, name }: HubProcess) =>
    until(
      async () => {
        const { configVersion, runningVersion } = await mesh.machine(machineId);
        return configVersion === runningVersion;
      },
      PATIENCE,
      clock,
      () => `${name} does not run what the cloud wants`,
    );

  it('goes direct when the connector has been gone for fallbackAfter, not sooner', async () => {
    const up = /"time":"([^"]+)"[^}]*"msg":"path is up"/.exec(await free.process.log())?.[1] ?? '';
    await until(
      async () => clock.now() > Date.parse(up) + ESTABLISHED,
      PATIENCE,
      clock,
      () => `the path is not up: ${up}`,
    );
    const mark = await LogMark.now(free.process);
    await mesh.connector.kill();
    await untilPath(mesh, free, 'direct');
    const lost = await mark.until(/path is lost/);
    const direct = await mark.until(/path is up: direct/);
    expect(direct.at - lost.at, 'milliseconds without a path').to.be.within(
      FALLBACK_AFTER - 100,
      FALLBACK_AFTER + LATE,
    );
    await untilReports(mesh, free.machineId);
  });

  it('does not go direct where its own configuration or the cloud forbids it, and keeps its readings', async () => {
    // The first hub went direct by the same clock; these have had as long.
    for (const hub of [forbiddenHere, forbiddenByCloud]) {
      await untilPath(mesh, hub, 'offline');
      expect(await hub.process.log(), hub.name).to.not.match(/"route":"direct/);
    }
    await expectExactlyOnce(mesh, [free]);
  });

  it('leaves the direct path when the cloud withdraws the permission', async () => {
    const mark = await LogMark.now(free.process);
    await mesh.client.customers.updateCustomer({ id: mesh.customerId, directAllowed: false });
    const line = await mark.until(/path is lost/);
    expect(line.text).to.match(/direct is no longer allowed/);
    await untilPath(mesh, free, 'offline');
  });

  it('returns to the connector when there is one again, and delivers what waited', async () => {
    await mesh.restartConnector();
    await Promise.all(hubs().map((hub) => untilPath(mesh, hub, 'connector')));
    await expectExactlyOnce(mesh, hubs());
    // Without a stretch that was kept back, the last line would prove nothing.
    expect(await longestGap(forbiddenHere)).to.be.lessThan(INTERVAL * 4);
  });

  it('stays direct although the connector returns, until its service restarts', async () => {
    await mesh.client.customers.updateCustomer({ id: mesh.customerId, directAllowed: true });
    await policyArrived(free);
    await mesh.connector.kill();
    await untilPath(mesh, free, 'direct');
    await mesh.restartConnector();
    // The connector is a path again: the others take it.
    for (const hub of [forbiddenHere, forbiddenByCloud]) await untilPath(mesh, hub, 'connector');
    const mark = await LogMark.now(free.process);
    const before = await storedReadings(mesh, free.machineId);
    await until(
      async () => (await storedReadings(mesh, free.machineId)) > before + 20,
      PATIENCE,
      clock,
      () => 'the direct path carries nothing',
    );
    expect(await pathOf(mesh, free)).to.equal('direct');
    expect(await mark.text()).to.not.match(/path is/);

    await free.process.stop();
    free.process.start();
    await untilPath(mesh, free, 'connector');
    expect((await mesh.machine(free.machineId)).path).to.equal(Path.CONNECTOR);
    await untilReports(mesh, free.machineId);
    await expectExactlyOnce(mesh, hubs());
  });

  /** Milliseconds between two readings of a sensor in the cloud, at most. */
  async function longestGap({ machineId }: HubProcess): Promise<number> {
    const bySensor = new Map<number, number[]>();
    for await (const { readings } of mesh.client.readings.queryReadings({ machineId })) {
      for (const { sensor, takenAtMs } of readings) bySensor.set(sensor, [...(bySensor.get(sensor) ?? []), takenAtMs]);
    }
    expect(bySensor.size, 'sensors').to.be.greaterThan(0);
    const gaps = [...bySensor.values()].flatMap((times) => {
      const sorted = times.sort((a, b) => a - b);
      return sorted.slice(1).map((time, i) => time - (sorted[i] ?? time));
    });
    return Math.max(0, ...gaps);
  }
});
