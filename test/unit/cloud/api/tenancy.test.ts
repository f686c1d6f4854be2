// Tenancy: for every RPC of inventory.v1, secrets.v1 and events.v1, what belongs to another customer is answered exactly
// like what does not exist,
// and stays as it was. A new RPC without a row in this table does not compile.
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import { Role } from '../../../../gen/occmesh/enrollment/v1/enrollment.js';
import type { MachineRecord } from '../../../../src/cloud/inventory/records.js';
import { sensorId } from '../../../../src/cloud/inventory/tables.js';
import type { Monitoring } from '../../../../src/cloud/monitoring.js';
import { uuidText } from '../../../../src/identity/uuid.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { systemRandom, uuid7 } from '../../../../src/kernel/random.js';
import type { TestCloud } from '../inventory/fixture.js';
import { adminOf, DEFINITIONS, faultOf, OPERATOR, type Rpc, readerOf, TestApi } from './fixture.js';

/** What a request can name. */
interface Target {
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

/** Requests of each RPC that name the target, one way each. Empty: it names nothing. */
const NAMING: { readonly [R in Rpc]: (target: Target) => object[] } = {
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

/** To count requests only. */
const ANY: Target = {
  customer: 'c',
  machine: 'm',
  sensor: 's',
  token: 't',
  alarm: 'a',
  maintenance: 'x',
  channel: 'y',
};
const RPCS = Object.keys(DEFINITIONS) as Rpc[];

async function populated({ cloud, monitoring, notifications }: TestApi, name: string): Promise<Target> {
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

function nonexistent(cloud: TestCloud): Target {
  const id = () => uuidText(uuid7(systemRandom, cloud.clock.now()));
  const things = { alarm: id(), maintenance: id(), channel: id() };
  return { customer: id(), machine: id(), sensor: `${id()}/1`, token: id(), ...things };
}

describe('API: tenancy', () => {
  it('looks at every RPC', () => {
    expect(RPCS).to.have.length(34);
    expect(RPCS.filter((rpc) => NAMING[rpc](ANY).length === 0)).to.deep.equal([
      'createCustomer',
      'listCustomers',
      'listSensorKinds',
    ]);
  });

  for (const rpc of RPCS.filter((one) => NAMING[one](ANY).length > 0)) {
    it(`${rpc}: what is another customer's does not exist`, async () => {
      await using api = await TestApi.start();
      const [own, foreign] = [await populated(api, 'own'), await populated(api, 'foreign')];
      const known = { machineId: foreign.machine, kind: 'cpu', requestId: 'known' };
      await api.call('createSensor', adminOf(foreign.customer), known);
      const none = NAMING[rpc](nonexistent(api.cloud));
      for (const principal of [adminOf(own.customer), readerOf(own.customer)]) {
        const before = await api.cloud.dump();
        for (const [i, request] of NAMING[rpc](foreign).entries()) {
          const told = await faultOf(api.call(rpc, principal, request));
          expect(told).to.match(
            /^inventory\.not-found: no such (customer|machine|sensor|token|alarm|maintenance|channel)$/,
          );
          expect(await faultOf(api.call(rpc, principal, none[i] ?? {}))).to.equal(told);
        }
        expect((await api.cloud.dump()).equals(before)).to.equal(true);
        expect(api.commands).to.deep.equal([]);
      }
      // The same requests do work for whoever may: the refusals above are not for another reason.
      for (const request of NAMING[rpc](own))
        expect(await faultOf(api.call(rpc, adminOf(own.customer), request))).to.equal('no fault');
      for (const request of NAMING[rpc](foreign))
        expect(await faultOf(api.call(rpc, OPERATOR, request))).to.equal('no fault');
      for (const request of none)
        expect(await faultOf(api.call(rpc, OPERATOR, { ...request, requestId: '' }))).to.match(/^inventory\.not-found/);
    });
  }

  it('lists show one customer to whom is bound to it, and all to operators', async () => {
    await using api = await TestApi.start();
    const [own, foreign] = [await populated(api, 'own'), await populated(api, 'foreign')];
    const customerIds = async (principal = OPERATOR) => {
      const { customers } = await api.call('listCustomers', principal, {});
      const { machines } = await api.call('listMachines', principal, {});
      const { sensors } = await api.call('listSensors', principal, {});
      const { tokens } = await api.call('listTokens', principal, {});
      const ofMachine = new Map(machines.map((machine) => [machine.id, machine.customerId]));
      return [
        customers.map(({ id }) => id),
        machines.map(({ customerId }) => customerId),
        sensors.map(({ machineId }) => ofMachine.get(machineId)),
        tokens.map(({ customerId }) => customerId),
      ].map((ids) => [...new Set(ids)].sort());
    };
    const [one, both] = [[own.customer], [own.customer, foreign.customer].sort()];
    expect(await customerIds(readerOf(own.customer))).to.deep.equal([one, one, one, one]);
    expect(await customerIds()).to.deep.equal([both, both, both, both]);
    const mixed = { customerId: own.customer, machineId: foreign.machine };
    expect((await api.call('listSensors', OPERATOR, mixed)).sensors).to.deep.equal([]);
  });

  it('hides tokens of operators from administrators, who cannot make any', async () => {
    await using api = await TestApi.start();
    const own = await populated(api, 'own');
    const admin = adminOf(own.customer);
    const { token } = await api.call('createApiToken', OPERATOR, { caller: Caller.OPERATOR });
    expect((await api.call('listTokens', admin, {})).tokens.map(({ id }) => id)).to.not.include(token?.id);
    expect(await faultOf(api.call('revokeToken', admin, { id: token?.id ?? '' }))).to.match(/^inventory\.not-found/);
    expect(await faultOf(api.call('createApiToken', admin, { caller: Caller.OPERATOR }))).to.match(/^api\.denied/);
  });

  it('takes nobody without customer for an operator', async () => {
    await using api = await TestApi.start();
    await populated(api, 'own');
    const lost = { kind: 'user', caller: Caller.CUSTOMER_ADMIN, tokenId: 'x' } as const;
    for (const principal of [lost, { ...lost, customerId: '' }, { kind: 'anonymous' } as const]) {
      for (const rpc of RPCS) {
        expect(await faultOf(api.call(rpc, principal, {})), rpc).to.match(/^api\.denied/);
      }
    }
  });
});
