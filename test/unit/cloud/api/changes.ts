// One request of each RPC that changes something and can be repeated, and a customer in which they all do change something.
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import { Role } from '../../../../gen/occmesh/enrollment/v1/enrollment.js';
import { uuidText } from '../../../../src/identity/uuid.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { systemRandom, uuid7 } from '../../../../src/kernel/random.js';
import { OPERATOR, type Rpc, type TestApi } from './fixture.js';

export interface Things {
  readonly customer: string;
  readonly machine: string;
  readonly alarm: string;
  readonly maintenance: string;
  readonly channel: string;
  readonly token: string;
}

const UNTIL = Date.UTC(2026, 1, 1);
export const WAY = { $case: 'webhook', value: { url: 'https://hook.invalid/' } } as const;

/** A request of each RPC that can be repeated, which changes something. */
export const CHANGES: { readonly [R in Rpc]?: (things: Things) => object } = {
  createCustomer: () => ({ name: 'new' }),
  updateCustomer: ({ customer }) => ({ id: customer, directAllowed: true }),
  updateMachine: ({ machine }) => ({ id: machine, name: 'renamed' }),
  retireMachine: ({ machine }) => ({ id: machine }),
  releaseMachine: ({ machine }) => ({ id: machine }),
  rotateSealingKey: ({ machine }) => ({ id: machine }),
  createSensor: ({ machine }) => ({ machineId: machine, kind: 'load' }),
  updateSensor: ({ machine }) => ({ id: `${machine}/1`, paused: true }),
  deleteSensor: ({ machine }) => ({ id: `${machine}/1` }),
  createEnrollmentToken: ({ customer }) => ({ customerId: customer, role: Role.HUB }),
  createApiToken: ({ customer }) => ({ customerId: customer, caller: Caller.CUSTOMER_READER }),
  revokeToken: ({ token }) => ({ id: token }),
  deleteSecret: ({ machine }) => ({ sensorId: `${machine}/6`, field: 'token' }),
  acknowledgeAlarm: ({ alarm }) => ({ id: alarm, comment: 'mine' }),
  commentAlarm: ({ alarm }) => ({ id: alarm, comment: 'said' }),
  silenceAlarm: ({ alarm }) => ({ id: alarm, untilMs: UNTIL }),
  createMaintenance: ({ machine }) => ({ machineId: machine, untilMs: UNTIL }),
  endMaintenance: ({ maintenance }) => ({ id: maintenance }),
  createChannel: ({ customer }) => ({ customerId: customer, name: 'desk', way: WAY }),
  deleteChannel: ({ channel }) => ({ id: channel }),
};

export async function things(api: TestApi): Promise<Things> {
  const { cloud, monitoring, notifications } = api;
  const { id: customer } = await cloud.customer('one');
  const { record } = await cloud.enrolled(customer, 'hub');
  const settings = { url: 'https://web.example/', auth: 'bearer' };
  await api.call('createSensor', OPERATOR, { machineId: record.id, kind: 'http', settings });
  await cloud.inventory.reports.setQuarantined(record.id, 'a clone');
  const alarm = uuidText(uuid7(systemRandom, epochMs(1)));
  const raised = { cause: 'lost', severity: 'critical', message: '', raisedAtMs: 1, changedAtMs: 1 } as const;
  const { journal } = monitoring;
  await journal.transact(() =>
    journal.tables.alarms.put({ v: 1, id: alarm, customerId: customer, machineId: record.id, ...raised, comments: [] }),
  );
  const planned = { by: 'somebody', atMs: cloud.clock.now(), comment: '' };
  const times = { fromMs: cloud.clock.now(), untilMs: UNTIL };
  const maintenance = await monitoring.maintenances.plan({ customerId: customer, comment: '', planned, ...times });
  const way = { kind: 'webhook', url: WAY.value.url } as const;
  const rules = { minSeverity: 'warning', deferMs: 0 } as const;
  const channel = await notifications.channels.create({ customerId: customer, name: 'c', way, ...rules });
  const reader = { caller: Caller.CUSTOMER_READER, customerId: customer, lifetimeMs: 0, name: '' } as const;
  const { token } = await cloud.inventory.tokens.createApi(reader);
  const machine = record.id;
  return { customer, machine, alarm, maintenance: maintenance.id, channel: channel.id, token: token.id };
}
