// Requests that name what belongs to somebody, for the tests of tenancy: each RPC with every way in which it can.
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import { Role } from '../../../../gen/occmesh/enrollment/v1/enrollment.js';
import type { MachineRecord } from '../../../../src/cloud/inventory/records.js';
import { sensorId } from '../../../../src/cloud/inventory/tables.js';
import type { Monitoring } from '../../../../src/cloud/monitoring.js';
import { uuidText } from '../../../../src/identity/uuid.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { systemRandom, uuid7 } from '../../../../src/kernel/random.js';
import type { TestCloud } from '../inventory/fixture.js';
import type { Rpc, TestApi } from './fixture.js';
import type { StreamRpc } from './stream-fixture.js';

/** What a request can name. */
export interface Target {
  readonly customer: string;
  readonly machine: string;
  readonly sensor: string;
  readonly token: string;
  readonly alarm: string;
  readonly maintenance: string;
  readonly channel: string;
}

/** Far enough. */
const UNTIL = Date.UTC(2026, 1, 1);
/** Nothing is there. */
const WAY = { $case: 'webhook', value: { url: 'https://hook.invalid/' } } as const;

const BUCKETS = { fromMs: 0, untilMs: 10, bucketMs: 1 };

/** Requests of each RPC that name the target, one way each. Empty: it names nothing. */
export const NAMING: { readonly [R in Rpc]: (target: Target) => object[] } = {
  createCustomer: () => [],
  listCustomers: () => [],
  updateCustomer: ({ customer }) => [{ id: customer, directAllowed: true }],
  listMachines: ({ customer }) => [{ customerId: customer }, { customerId: customer, includeRetired: true }],
  updateMachine: ({ machine }) => [{ id: machine, name: 'mine' }],
  retireMachine: ({ machine }) => [{ id: machine }],
  releaseMachine: ({ machine }) => [{ id: machine }],
  rotateSealingKey: ({ machine }) => [{ id: machine }],
  listSensorKinds: () => [],
  createSensor: ({ machine }) => [
    { machineId: machine, kind: 'cpu' },
    { machineId: machine, kind: 'cpu', requestId: 'known' },
  ],
  listSensors: ({ customer, machine }) => [{ machineId: machine }, { customerId: customer }],
  updateSensor: ({ sensor }) => [{ id: sensor, paused: true }],
  deleteSensor: ({ sensor }) => [{ id: sensor }],
  runSensor: ({ sensor }) => [{ id: sensor }],
  getSealingContext: ({ sensor }) => [{ sensorId: sensor, field: 'token' }],
  putSecret: ({ sensor }) => [
    { sensorId: sensor, field: 'token', secret: { $case: 'plaintext', value: Buffer.from('hunter2') } },
  ],
  listSecrets: ({ customer, machine, sensor }) => [
    { customerId: customer },
    { machineId: machine },
    { sensorId: sensor },
  ],
  deleteSecret: ({ sensor }) => [{ sensorId: sensor, field: 'token' }],
  createEnrollmentToken: ({ customer, machine }) => [{ customerId: customer, role: Role.HUB }, { machineId: machine }],
  createApiToken: ({ customer }) => [{ customerId: customer, caller: Caller.CUSTOMER_READER }],
  listTokens: ({ customer }) => [{ customerId: customer }],
  revokeToken: ({ token }) => [{ id: token }],
  listAlarms: ({ customer, machine }) => [{ customerId: customer }, { machineId: machine, includeClosed: true }],
  acknowledgeAlarm: ({ alarm }) => [{ id: alarm }],
  commentAlarm: ({ alarm }) => [{ id: alarm, comment: 'mine' }],
  silenceAlarm: ({ alarm }) => [{ id: alarm, untilMs: UNTIL }],
  createMaintenance: ({ customer, machine }) => [
    { customerId: customer, untilMs: UNTIL },
    { machineId: machine, untilMs: UNTIL },
  ],
  listMaintenances: ({ customer }) => [{ customerId: customer }],
  endMaintenance: ({ maintenance }) => [{ id: maintenance }],
  createChannel: ({ customer }) => [{ customerId: customer, name: 'mine', way: WAY }],
  listChannels: ({ customer }) => [{ customerId: customer }],
  deleteChannel: ({ channel }) => [{ id: channel }],
  testChannel: ({ channel }) => [{ id: channel }],
  listEvents: ({ customer }) => [{ customerId: customer }],
};

/** The same of those that need readings, or never end. */
export const STREAM_NAMING: { readonly [R in StreamRpc]: (target: Target) => object[] } = {
  getLatest: ({ customer, machine, sensor }) => [
    { customerId: customer },
    { machineId: machine },
    { sensorIds: [sensor] },
  ],
  queryReadings: ({ machine, sensor }) => [
    { machineId: machine },
    { machineId: machine, sensor: 1 },
    { sensorIds: [sensor] },
  ],
  aggregateReadings: ({ machine, sensor }) => [
    { machineId: machine, ...BUCKETS },
    { sensorIds: [sensor], ...BUCKETS },
  ],
  watchReadings: ({ customer, machine, sensor }) => [
    { customerId: customer },
    { machineId: machine },
    { sensorIds: [sensor] },
  ],
  getLedger: ({ machine }) => [{ machineId: machine }],
  watchEvents: ({ customer }) => [{ customerId: customer }],
};

/** To count requests only. */
export const ANY: Target = {
  customer: 'c',
  machine: 'm',
  sensor: 's',
  token: 't',
  alarm: 'a',
  maintenance: 'x',
  channel: 'y',
};
export async function populated({ cloud, monitoring, notifications }: TestApi, name: string): Promise<Target> {
  const { id: customer } = await cloud.customer(name);
  const { record } = await cloud.enrolled(customer, 'hub');
  const wanted = { caller: Caller.CUSTOMER_READER, customerId: customer, lifetimeMs: 0, name: '' } as const;
  const { token } = await cloud.inventory.tokens.createApi(wanted);
  const web = {
    kind: 'http',
    settings: { url: 'https://web.example/', auth: 'bearer' },
    thresholds: [],
    paused: false,
  };
  const timing = { intervalMs: 60_000, timeoutMs: 20_000 };
  const sensor = await cloud.inventory.sensors.create(record.id, { ...web, ...timing });
  const alarm = await raised(monitoring, record);
  const planned = { by: 'somebody', atMs: cloud.clock.now(), comment: '' };
  const times = { fromMs: cloud.clock.now(), untilMs: UNTIL };
  const maintenance = await monitoring.maintenances.plan({ customerId: customer, comment: '', planned, ...times });
  const way = { kind: 'webhook', url: WAY.value.url } as const;
  const rules = { minSeverity: 'warning', deferMs: 0 } as const;
  const channel = await notifications.channels.create({ customerId: customer, name: 'c', way, ...rules });
  return {
    ...{ customer, machine: record.id, sensor: sensorId(record.id, sensor.number), token: token.id },
    ...{ alarm, maintenance: maintenance.id, channel: channel.id },
  };
}

/** An open alarm of a machine: its id. */
async function raised({ journal }: Monitoring, { customerId, id: machineId }: MachineRecord): Promise<string> {
  const id = uuidText(uuid7(systemRandom, epochMs(1)));
  const trouble = { cause: 'lost', severity: 'critical', message: '' } as const;
  const times = { raisedAtMs: 1, changedAtMs: 1 };
  await journal.transact(() =>
    journal.tables.alarms.put({ v: 1, id, customerId, machineId, ...trouble, ...times, comments: [] }),
  );
  return id;
}

export function nonexistent(cloud: TestCloud): Target {
  const id = () => uuidText(uuid7(systemRandom, cloud.clock.now()));
  const things = { alarm: id(), maintenance: id(), channel: id() };
  return { customer: id(), machine: id(), sensor: `${id()}/1`, token: id(), ...things };
}
