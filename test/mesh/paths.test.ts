// Ways from hubs to the cloud over connectors, with real processes: found by multicast or named by hand, one dying, one
// whose cloud is gone.
import { expect } from 'chai';
import { Role } from '../../src/client/index.js';
import { Internet } from '../../src/demo/internet.js';
import type { ConnectorProcess, HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { formatAddress } from '../../src/discovery/hint.js';
import { SsdpSearcher } from '../../src/discovery/searcher.js';
import { milliseconds, minutes, seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { systemRandom } from '../../src/kernel/random.js';
import {
  clock,
  endMesh,
  expectExactlyOnce,
  LogMark,
  PATIENCE,
  startMesh,
  untilPath,
  untilReports,
} from '../support/mesh-site.js';

const INTERVAL = seconds(1);

describe('paths over connectors', () => {
  let mesh: LocalMesh;
  let second: ConnectorProcess;
  /** The internet as hubs see it that have none. */
  let nowhere: Internet;
  const hubs: HubProcess[] = [];

  before(async () => {
    // Nothing here may be explained by the direct path.
    mesh = await startMesh({ fallbackAfter: minutes(10) });
    nowhere = await Internet.start(() => 1, {}, clock);
    nowhere.cut();
    await mesh.startConnector();
  });
  after(async () => {
    await endMesh(mesh);
    await nowhere?.stop();
  });

  const viaConnector = async (hub: HubProcess) => {
    await untilPath(mesh, hub, 'connector');
    return (await mesh.machine(hub.machineId)).connectorId;
  };

  const searchedConnectors = async (): Promise<string[]> => {
    const { ssdpPort } = mesh.options;
    const searcher = new SsdpSearcher(
      { interfaces: ['lo'], ssdpPort },
      { clock, random: systemRandom, log: silentLogger },
    );
    const hints = await searcher.search(milliseconds(1_000), new AbortController().signal);
    return hints.map(formatAddress).sort();
  };

  it('a hub finds the connector by multicast, enrols and reports through it', async () => {
    const hub = await mesh.addHub('by-multicast');
    hubs.push(hub);
    await mesh.quicken(hub.machineId, INTERVAL);
    expect(await viaConnector(hub)).to.equal(mesh.connectorId);
    await untilReports(mesh, hub.machineId);
    await mesh.quicken(mesh.companionId, INTERVAL);
    await untilReports(mesh, mesh.companionId);
    await expectExactlyOnce(mesh, [hub]);
  });

  it('a hub without internet enrols and reports through a connector given by hand, without multicast', async () => {
    const args = ['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`];
    const hub = await mesh.addHub('by-hand', args, { cloudPort: nowhere.port });
    hubs.push(hub);
    await mesh.quicken(hub.machineId, INTERVAL);
    expect(await viaConnector(hub)).to.equal(mesh.connectorId);
    await untilReports(mesh, hub.machineId);
    await expectExactlyOnce(mesh, [hub]);
    expect(nowhere.tried, 'tries to reach the cloud directly').to.equal(0);
  });

  it('a hub that knows no connector and has no internet says what to do', async () => {
    const token = await mesh.token(Role.HUB, 'lonely', { cloudPort: nowhere.port });
    const lonely = mesh.process('lonely', [
      ...['hub', '--data', `${mesh.options.directory}/lonely`, '--no-multicast', '--token-file', token],
    ]);
    lonely.start();
    const line = await (await LogMark.now(lonely)).until(/not enrolled yet/);
    expect(line.text).to.match(/127\.0\.0\.1:\d+/);
    expect(nowhere.tried).to.be.greaterThan(0);
    await lonely.stop();
    expect(lonely.exitCode, 'ended by a signal while it waits').to.equal(130);
  });

  it('of two connectors one dies, and the other carries its hubs', async () => {
    second = await mesh.addConnector('connector-2');
    const hub = hubs[0] as HubProcess;
    const first = await viaConnector(hub);
    expect(first).to.equal(mesh.connectorId);
    await until(
      async () => (await searchedConnectors()).length === 2,
      PATIENCE,
      clock,
      () => 'the second connector does not announce itself',
    );
    await mesh.connector.kill();
    await until(
      async () => (await viaConnector(hub)) === second.machineId,
      PATIENCE,
      clock,
      () => 'the hub did not go to the second connector',
    );
    await untilReports(mesh, hub.machineId);
    await mesh.restartConnector();
    await second.process.kill();
    await until(
      async () => (await viaConnector(hub)) === mesh.connectorId,
      PATIENCE,
      clock,
      () => 'the hub did not come back to the first connector',
    );
    await untilReports(mesh, hub.machineId);
    await expectExactlyOnce(mesh, hubs);
  });

  it('a connector whose cloud is gone is no path: it does not announce itself and refuses hubs', async () => {
    const internet = await Internet.start(() => mesh.cloudPort, {}, clock);
    try {
      const third = await mesh.addConnector('connector-3', { cloudPort: internet.port });
      const address = `127.0.0.1:${third.port}`;
      await until(
        async () => (await searchedConnectors()).includes(address),
        PATIENCE,
        clock,
        () => 'the third connector does not announce itself',
      );
      const hub = await mesh.addHub('behind-third', ['--no-multicast', '--connector', address], {
        cloudPort: nowhere.port,
      });
      await mesh.quicken(hub.machineId, INTERVAL);
      await untilReports(mesh, hub.machineId);
      // So that there is no other connector to go to.
      await mesh.connector.kill();
      const mark = await LogMark.now(hub.process);
      internet.cut();
      await mark.until(/no way to the cloud now.*not a path/);
      await untilPath(mesh, hub, 'offline');
      expect(await searchedConnectors()).to.not.include(address);

      internet.mend();
      await untilPath(mesh, hub, 'connector');
      expect((await mesh.machine(hub.machineId)).connectorId).to.equal(third.machineId);
      expect(await searchedConnectors()).to.include(address);
      await expectExactlyOnce(mesh, [hub]);
    } finally {
      await internet.stop();
    }
  });
});
