// The right alarm, once, from real processes: a killed connector with two hubs behind it, a cloud that is killed, a service
// that stops answering. And whoever watches sees it all, although the cloud goes away in between.
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  type Alarm,
  AlarmCause,
  connect,
  type Event,
  MachineState,
  SensorState,
  State,
} from '../../src/client/index.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { clock, endMesh, PATIENCE, startMesh, untilPath } from '../support/mesh-site.js';

describe('alarms of a real mesh', () => {
  let mesh: LocalMesh;
  let bound: HubProcess;
  let free: HubProcess;
  const stop = new AbortController();
  const seen: Event[] = [];
  let watching: Promise<void>;
  let server: Server | undefined;

  before(async () => {
    mesh = await startMesh();
    await mesh.startConnector();
    const byHand = ['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`];
    bound = await mesh.addHub('bound', [...byHand, '--no-direct']);
    free = await mesh.addHub('free', byHand);
    for (const hub of [bound, free]) await untilPath(mesh, hub, 'connector');
    watching = watch();
  });
  after(async () => {
    stop.abort();
    await watching;
    server?.close();
    await endMesh(mesh);
  });

  /** Goes on where it was, as any service would, on a connection of its own. */
  async function watch(): Promise<void> {
    const inCloud = (...path: string[]) => readFile(join(mesh.options.directory, 'cloud', ...path), 'utf8');
    const token = await inCloud('operator.token');
    await using client = connect({ cloud: `127.0.0.1:${mesh.cloudPort}`, ca: await inCloud('ca', 'ca.crt'), token });
    let afterPosition: number | undefined;
    while (!stop.signal.aborted) {
      try {
        for await (const message of client.events.watchEvents({ afterPosition }, { signal: stop.signal })) {
          seen.push(...message.events);
          afterPosition = message.position;
        }
      } catch {
        // The cloud is away, or the test has ended.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  const alarms = async (includeClosed = false) => (await mesh.client.alarms.listAlarms({ includeClosed })).alarms;
  const untilAlarms = async (what: string, wanted: (open: Alarm[]) => boolean) => {
    let open: Alarm[] = [];
    const look = async () => {
      open = await alarms();
      return wanted(open);
    };
    await until(look, PATIENCE, clock, () => `not ${what}: ${JSON.stringify(open)}`);
    return open;
  };
  const untilState = (hub: HubProcess, state: MachineState) =>
    until(
      async () => (await mesh.machine(hub.machineId)).state === state,
      PATIENCE,
      clock,
      () => `${hub.name} is not ${MachineState[state]}`,
    );

  it('is one for a killed connector; its hubs are unreachable, or alive with a dead connector', async () => {
    await mesh.connector.kill();
    await untilState(bound, MachineState.UNREACHABLE);
    await untilPath(mesh, free, 'direct');
    const [alarm, ...more] = await untilAlarms('one', (open) => open.length > 0);
    expect(more).to.deep.equal([]);
    expect(alarm).to.include({
      machineId: mesh.connectorId,
      cause: AlarmCause.LOST,
      severity: State.CRITICAL,
      sensorId: '',
    });
    expect(await mesh.machine(free.machineId)).to.include({ connectorLost: true, state: MachineState.ONLINE });
    // The bound hub, and the hub of the connector's own machine, which died with it.
    expect((await alarms())[0]).to.include({ unreachableHubs: 2 });
  });

  it('stays that one while the cloud is killed and comes back, and is closed when the connector is', async () => {
    const [before] = await alarms();
    await mesh.cloud.kill();
    await mesh.startCloud();
    const answers = () =>
      alarms().then(
        () => true,
        () => false,
      );
    await until(answers, PATIENCE, clock, () => 'the cloud does not answer');
    await untilPath(mesh, free, 'direct');
    expect((await alarms()).map(({ id }) => id)).to.deep.equal([before?.id]);
    mesh.connector.start();
    await untilAlarms('none', (open) => open.length === 0);
    await untilPath(mesh, bound, 'connector');
    expect((await alarms(true)).map(({ id }) => id)).to.deep.equal([before?.id]);
  });

  it('is one for a service that stops answering, after so many tries, until it answers again', async () => {
    server = await listening(0);
    const { port } = server.address() as { port: number };
    const settings = { host: '127.0.0.1', port };
    const wanted = { machineId: bound.machineId, name: 'door', kind: 'tcp', settings, attempts: 2 };
    const { id } = await mesh.client.sensors.createSensor({ ...wanted, intervalMs: 1_000, timeoutMs: 500 });
    const door = async () => {
      const { sensors } = await mesh.client.sensors.listSensors({ machineId: bound.machineId });
      return sensors.find((sensor) => sensor.id === id)?.state;
    };
    await until(
      async () => (await door()) === SensorState.OK,
      PATIENCE,
      clock,
      () => 'the door is not open',
    );
    await close(server);
    const [alarm] = await untilAlarms('one', (open) => open.length === 1);
    expect(alarm).to.include({ sensorId: id, cause: AlarmCause.SENSOR, severity: State.CRITICAL });
    expect(await door()).to.equal(SensorState.CRITICAL);
    const taken = await mesh.client.alarms.acknowledgeAlarm({ id: alarm?.id ?? '', comment: 'on my way' });
    expect(taken.acknowledgement).to.include({ comment: 'on my way' });
    server = await listening(port);
    await untilAlarms('none', (open) => open.length === 0);
    await close(server);
    await mesh.client.sensors.deleteSensor({ id });
  });

  it('was all seen by who watched, once and in order', async () => {
    const { events } = await mesh.client.events.listEvents({ pageSize: 1_000 });
    const last = events[0]?.position ?? 0;
    await until(
      async () => (seen.at(-1)?.position ?? 0) >= last,
      PATIENCE,
      clock,
      () => 'the watcher is behind',
    );
    const first = seen[0]?.position ?? 0;
    const listed = events.filter(({ position }) => position >= first).reverse();
    expect(seen.slice(0, listed.length).map(({ position }) => position)).to.deep.equal(
      listed.map(({ position }) => position),
    );
    const raised = seen.flatMap(({ what }) =>
      what?.$case === 'alarm' && what.value.closedAtMs === 0 ? [what.value.cause] : [],
    );
    expect(raised.filter((cause) => cause === AlarmCause.LOST)).to.have.length(1);
    // What the operator did to this customer's things is on its record, also what is gone since.
    const { machines } = await mesh.client.machines.listMachines({});
    const { customerId } = machines.find(({ id }) => id === bound.machineId) ?? {};
    const { events: audits } = await mesh.client.events.listEvents({ customerId, auditOnly: true, pageSize: 1_000 });
    const methods = audits.map(({ what }) => what?.$case === 'audit' && what.value.method.split('/').at(-1));
    expect(methods).to.include.members(['CreateSensor', 'AcknowledgeAlarm', 'DeleteSensor']);
    const positions = new Set(seen.map(({ position }) => position));
    for (const { position } of audits)
      expect(positions.has(position) || position < first, `${position}`).to.equal(true);
  });
});

async function listening(port: number): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

const close = (server: Server | undefined): Promise<void> => new Promise((resolve) => server?.close(() => resolve()));
