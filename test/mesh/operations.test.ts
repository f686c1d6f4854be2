// What operators see of real processes: what these tell Prometheus, read as it would read it and compared with what has
// happened, and what the doctor finds on their machines.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { freePort } from '../../src/demo/free-port.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { seconds } from '../../src/kernel/duration.js';
import { clock, endMesh, PATIENCE, startMesh, storedReadings, untilPath } from '../support/mesh-site.js';
import { occ } from '../support/occ.js';
import { type Family, metricValue, parsePrometheus } from '../support/prometheus-text.js';

describe('operations', () => {
  let mesh: LocalMesh;
  let hub: HubProcess;
  const ports = { cloud: 0, connector: 0, hub: 0 };

  before(async () => {
    for (const role of ['cloud', 'connector', 'hub'] as const) ports[role] = await freePort();
    mesh = await startMesh({
      cloudArgs: ['--metrics-port', String(ports.cloud)],
      connectorArgs: ['--metrics-port', String(ports.connector)],
    });
    await mesh.startConnector();
    hub = await mesh.addHub('measured', ['--metrics-port', `127.0.0.1:${ports.hub}`]);
    await mesh.quicken(hub.machineId, seconds(1));
    await untilPath(mesh, hub, 'connector');
  });
  after(() => endMesh(mesh));

  const look = async (role: keyof typeof ports): Promise<Map<string, Family>> => {
    const response = await fetch(`http://127.0.0.1:${ports[role]}/metrics`);
    expect(response.headers.get('content-type')).to.contain('version=0.0.4');
    return parsePrometheus(await response.text());
  };
  const eventually = async (what: string, holds: () => Promise<boolean>) =>
    until(holds, PATIENCE, clock, () => `never: ${what}`);

  it('a hub tells what it measured, wrote and delivered', async () => {
    await eventually('everything is acknowledged', async () => {
      const hubs = await look('hub');
      return metricValue(hubs, 'occ_hub_readings_written_total') > 5 && metricValue(hubs, 'occ_hub_wal_readings') === 0;
    });
    const families = await look('hub');
    expect(metricValue(families, 'occ_hub_path', { path: 'connector' })).to.equal(1);
    expect(metricValue(families, 'occ_hub_path')).to.equal(1);
    expect(metricValue(families, 'occ_hub_sessions_opened_total', { path: 'connector' })).to.equal(1);
    expect(metricValue(families, 'occ_hub_readings_dropped_total')).to.equal(0);
    expect(metricValue(families, 'occ_hub_flush_duration_seconds_count')).to.be.greaterThan(0);
    await eventually('a kind has run twice', async () => {
      const runs = { kind: 'cpu' };
      return metricValue(await look('hub'), 'occ_hub_sensor_run_duration_seconds_count', runs) > 1;
    });
    expect(metricValue(families, 'process_resident_memory_bytes')).to.be.greaterThan(10_000_000);
  });

  it('a cloud tells as many readings as it holds, and who is there', async () => {
    await eventually('the counter agrees with the ledgers', async () => {
      const held = (await storedReadings(mesh, hub.machineId)) + (await storedReadings(mesh, mesh.companionId));
      return metricValue(await look('cloud'), 'occ_cloud_readings_stored_total') === held;
    });
    const families = await look('cloud');
    expect(metricValue(families, 'occ_cloud_sessions', { path: 'connector' })).to.equal(2);
    expect(metricValue(families, 'occ_cloud_connectors')).to.equal(1);
    expect(metricValue(families, 'occ_cloud_machines', { role: 'hub', state: 'online' })).to.equal(2);
    expect(metricValue(families, 'occ_cloud_refused_total')).to.equal(0);
    expect(metricValue(families, 'occ_cloud_store_bytes')).to.be.greaterThan(1_000);
    expect(metricValue(families, 'occ_cloud_commit_duration_seconds_count')).to.be.greaterThan(5);
    const listed = { method: '/occmesh.inventory.v1.MachineService/ListMachines', code: 'OK' };
    expect(metricValue(families, 'occ_cloud_rpc_duration_seconds_count', listed)).to.be.greaterThan(0);
  });

  it('a cloud tells who watches what, and forgets who has gone', async () => {
    const watching = async () => {
      const families = await look('cloud');
      return ['readings', 'events'].map((kind) => metricValue(families, 'occ_cloud_watchers', { kind }));
    };
    expect(await watching()).to.deep.equal([0, 0]);
    const gone = new AbortController();
    const readings = mesh.client.readings.watchReadings({}, { signal: gone.signal })[Symbol.asyncIterator]();
    const events = [1, 2].map(() =>
      mesh.client.events.watchEvents({}, { signal: gone.signal })[Symbol.asyncIterator](),
    );
    for (const watch of [readings, ...events]) await watch.next();
    await eventually('one watches readings, two watch events', async () => `${await watching()}` === '1,2');
    gone.abort();
    await eventually('nobody watches', async () => `${await watching()}` === '0,0');
  });

  it('a connector tells what it carries, and its own hub stands beside it', async () => {
    const families = await look('connector');
    expect(metricValue(families, 'occ_connector_up')).to.equal(1);
    expect(metricValue(families, 'occ_connector_hubs')).to.equal(2);
    expect(metricValue(families, 'occ_connector_trunk_bytes_total', { direction: 'up' })).to.be.greaterThan(1_000);
    expect(metricValue(families, 'occ_connector_trunk_bytes_total', { direction: 'down' })).to.be.greaterThan(100);
    expect(metricValue(families, 'occ_hub_readings_written_total')).to.be.greaterThan(0);
  });

  it('no label of a cloud names a machine or a customer, and nothing tells a secret', async () => {
    const text = await (await fetch(`http://127.0.0.1:${ports.cloud}/metrics`)).text();
    const token = (await readFile(join(mesh.options.directory, 'cloud', 'operator.token'), 'utf8')).trim();
    for (const word of [hub.machineId, mesh.connectorId, mesh.customerId, 'measured', token]) {
      expect(text.includes(word), word).to.equal(false);
    }
    expect(text.includes('ListMachines'), 'negative control').to.equal(true);
  });

  const examined = async (data: string) => {
    const place = ['--data', data, '--interface', 'lo', '--ssdp-port', String(mesh.options.ssdpPort)];
    const { code, stdout, stderr } = await occ('doctor', '--json', ...place);
    const { checks = [] } = JSON.parse(stdout || '{}') as {
      checks?: { check: string; verdict: string; seen: string }[];
    };
    return { code, stderr, verdict: (check: string) => checks.find((one) => one.check === check)?.verdict, checks };
  };

  it('the doctor finds a hub and a connector as they should be', async () => {
    const found = await examined(hub.directory);
    expect(found.code, JSON.stringify(found)).to.equal(0);
    for (const check of [
      'membership',
      'certificate',
      'way to the cloud',
      'clock',
      'version',
      'connector',
      'multicast',
    ]) {
      expect(found.verdict(check), JSON.stringify(found.checks)).to.equal('ok');
    }
    const connector = await examined(join(mesh.options.directory, 'connector'));
    expect(connector.code, JSON.stringify(connector)).to.equal(0);
    expect(connector.verdict('version')).to.equal('ok');
  });

  it('a lost connector shows at both ends', async () => {
    await mesh.connector.kill();
    await eventually('the cloud has no connector', async () => {
      return metricValue(await look('cloud'), 'occ_cloud_connectors') === 0;
    });
    await eventually('the hub has another way, and the cloud has it', async () => {
      const here = metricValue(await look('hub'), 'occ_hub_path', { path: 'direct' });
      return here === 1 && metricValue(await look('cloud'), 'occ_cloud_sessions', { path: 'direct' }) === 1;
    });
    expect(metricValue(await look('hub'), 'occ_hub_sessions_ended_total')).to.be.greaterThan(0);
    expect(metricValue(await look('cloud'), 'occ_cloud_sessions_opened_total', { path: 'direct' })).to.equal(1);
  });

  it('and tells a hub what is missing: no connector answers any more', async () => {
    const found = await examined(hub.directory);
    expect(found.verdict('connector')).to.equal('warning');
    expect(found.verdict('way to the cloud')).to.equal('ok');
  });
});
