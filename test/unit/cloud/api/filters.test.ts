// What of a list is wanted: filters, field masks, and page tokens that are good for one filter only.
import { type DescMessage, toJson } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Role } from '../../../../gen/occmesh/enrollment/v1/enrollment.js';
import { AlarmCause } from '../../../../gen/occmesh/events/v1/events.js';
import { Machine, MachineState, Sensor, SensorState } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { Reading } from '../../../../gen/occmesh/readings/v1/readings.js';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { readMask } from '../../../../src/cloud/api/read-mask.js';
import { loadDescriptors } from '../../../../src/contract/descriptors.js';
import { uuidText } from '../../../../src/identity/uuid.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { systemRandom, uuid7 } from '../../../../src/kernel/random.js';
import { codecOf } from '../../../support/generated.js';
import { exampleOf } from '../../../support/golden.js';
import { faultOf, OPERATOR, SILENT, TestApi } from './fixture.js';

/** One customer with a connector (and its hub) and three more hubs. */
async function network(api: TestApi): Promise<{ customer: string; hubs: string[]; connector: string }> {
  const { id: customer } = await api.cloud.customer('one');
  const { record } = await api.cloud.enrolled(customer, 'connector');
  const hubs: string[] = [];
  for (const name of ['Alpha', 'beta', 'ALPHABET']) {
    const { id } = (await api.cloud.enrolled(customer, 'hub')).record;
    await api.call('updateMachine', OPERATOR, { id, name });
    hubs.push(id);
  }
  return { customer, hubs, connector: record.id };
}

describe('API: filters', () => {
  let api: TestApi;
  beforeEach(async () => {
    api = await TestApi.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const names = async (request: object) =>
    (await api.call('listMachines', OPERATOR, request)).machines.map(({ name }) => name).sort();

  it('of machines: state, role, name, and all of them together', async () => {
    const { hubs, connector } = await network(api);
    const [alpha = '', beta = '', alphabet = ''] = hubs;
    api.presence.set(alpha, { ...SILENT, state: MachineState.ONLINE });
    api.presence.set(beta, { ...SILENT, state: MachineState.LOST });
    api.presence.set(alphabet, { ...SILENT, state: MachineState.LOST });
    await api.call('updateMachine', OPERATOR, { id: alphabet, maySleep: true });
    expect(await names({ nameContains: 'alpha' })).to.deep.equal(['ALPHABET', 'Alpha']);
    expect(await names({ states: [MachineState.ONLINE] })).to.deep.equal(['Alpha']);
    expect(await names({ states: [MachineState.LOST] }), 'one sleeps').to.deep.equal(['beta']);
    expect(await names({ states: [MachineState.ONLINE, MachineState.LOST, MachineState.ASLEEP] })).to.have.length(3);
    const connectors = await api.call('listMachines', OPERATOR, { role: Role.CONNECTOR });
    expect(connectors.machines.map(({ id }) => id)).to.deep.equal([connector]);
    expect(await names({ role: Role.HUB })).to.have.length(4);
    expect(await names({ role: Role.HUB, nameContains: 'ALPHA', states: [MachineState.ASLEEP] })).to.deep.equal([
      'ALPHABET',
    ]);
    await api.call('retireMachine', OPERATOR, { id: alpha });
    expect(await names({ nameContains: 'alpha' })).to.deep.equal(['ALPHABET']);
    expect(await names({ states: [MachineState.RETIRED] })).to.deep.equal(['Alpha']);
  });

  it('of sensors: state and kind', async () => {
    const { hubs } = await network(api);
    const machineId = hubs[0] ?? '';
    const kinds = async (request: object) =>
      (await api.call('listSensors', OPERATOR, { machineId, ...request })).sensors.map(({ kind }) => kind);
    expect(await kinds({ kind: 'cpu' })).to.deep.equal(['cpu']);
    expect(await kinds({ kind: 'ping' })).to.deep.equal([]);
    expect(await kinds({ states: [SensorState.INITIALISING] })).to.have.length(5);
    expect(await kinds({ states: [SensorState.CRITICAL, SensorState.STALE] })).to.deep.equal([]);
    expect(await kinds({ kind: 'cpu', states: [SensorState.INITIALISING] })).to.deep.equal(['cpu']);
  });

  it('of alarms: severity and cause', async () => {
    const { customer, hubs } = await network(api);
    const { journal } = api.monitoring;
    const raise = (cause: 'lost' | 'flapping' | 'stale', severity: 'warning' | 'unknown' | 'critical', n: number) =>
      journal.transact(() =>
        journal.tables.alarms.put({
          ...{ v: 1, id: uuidText(uuid7(systemRandom, epochMs(n))), customerId: customer, machineId: hubs[n] ?? '' },
          ...{ cause, severity, message: '', raisedAtMs: n, changedAtMs: n, comments: [] },
        }),
      );
    await raise('flapping', 'warning', 0);
    await raise('stale', 'unknown', 1);
    await raise('lost', 'critical', 2);
    const causes = async (request: object) =>
      (await api.call('listAlarms', OPERATOR, request)).alarms.map(({ cause }) => cause);
    const { FLAPPING, STALE, LOST, QUARANTINED } = AlarmCause;
    expect(await causes({})).to.deep.equal([LOST, STALE, FLAPPING]);
    expect(await causes({ minSeverity: State.UNKNOWN })).to.deep.equal([LOST, STALE]);
    expect(await causes({ minSeverity: State.CRITICAL })).to.deep.equal([LOST]);
    expect(await causes({ causes: [FLAPPING, STALE] })).to.deep.equal([STALE, FLAPPING]);
    expect(await causes({ causes: [FLAPPING, QUARANTINED], minSeverity: State.UNKNOWN })).to.deep.equal([]);
  });

  it('that mean nothing are refused by name', async () => {
    const bad = [
      [api.call('listMachines', OPERATOR, { states: [MachineState.ONLINE, 0] }), 'states[1]'],
      [api.call('listMachines', OPERATOR, { states: [99 as MachineState] }), 'states[0]'],
      [api.call('listMachines', OPERATOR, { role: Role.CLOUD }), 'role'],
      [api.call('listMachines', OPERATOR, { nameContains: 'x'.repeat(65) }), 'name_contains'],
      [api.call('listMachines', OPERATOR, { readMask: ['state', 'nonesuch'] }), 'read_mask'],
      [api.call('listSensors', OPERATOR, { states: [0] }), 'states[0]'],
      [api.call('listSensors', OPERATOR, { kind: 'nonesuch' }), 'kind'],
      [api.call('listSensors', OPERATOR, { readMask: ['settings.host'] }), 'read_mask'],
      [api.call('listAlarms', OPERATOR, { causes: [7 as AlarmCause] }), 'causes[0]'],
      [api.call('listAlarms', OPERATOR, { minSeverity: State.OK }), 'min_severity'],
    ] as const;
    for (const [call, field] of bad)
      expect(await faultOf(call))
        .to.match(/^api\.invalid: /)
        .and.contain(`${field}: `);
  });

  it('have page tokens of their own; a mask and the size of pages may change', async () => {
    await network(api);
    const hubs = { role: Role.HUB, pageSize: 1 };
    const { nextPageToken: pageToken } = await api.call('listMachines', OPERATOR, hubs);
    const next = await api.call('listMachines', OPERATOR, { ...hubs, pageToken, pageSize: 2, readMask: ['id'] });
    expect(next.machines).to.have.length(2);
    for (const other of [{}, { role: Role.CONNECTOR }, { role: Role.HUB, includeRetired: true }]) {
      expect(await faultOf(api.call('listMachines', OPERATOR, { ...other, pageToken }))).to.match(
        /^api\.invalid: page_token: belongs to a list with another filter/,
      );
    }
  });

  it('go with masks: answers hold what was asked for and nothing else', async () => {
    await network(api);
    const { machines } = await api.call('listMachines', OPERATOR, {
      nameContains: 'beta',
      readMask: ['id', 'info.hostname'],
    });
    const [machine] = machines;
    const { id, info, ...rest } = machine ?? Machine.fromPartial({});
    const { id: _, info: nothing, ...empty } = Machine.fromPartial({ info: {} });
    expect(id).to.have.length(36);
    expect(info).to.deep.equal({ ...nothing, hostname: 'srv1' });
    expect(rest).to.deep.equal(empty);
  });
});

describe('API: field masks', () => {
  /** Every path that may be asked for. */
  function pathsOf(desc: DescMessage, prefix = ''): string[] {
    return desc.fields.flatMap((field) => {
      const inner = field.fieldKind === 'message' && field.message.typeName.startsWith('occmesh.');
      return [prefix + field.name, ...(inner ? pathsOf(field.message, `${prefix + field.name}.`) : [])];
    });
  }

  const ITEMS = [
    ['occmesh.inventory.v1.Machine', Machine],
    ['occmesh.inventory.v1.Sensor', Sensor],
    ['occmesh.readings.v1.Reading', Reading],
  ] as const;

  for (const [type, codec] of ITEMS) {
    it(`know every field of ${type}`, async () => {
      const desc = loadDescriptors().registry.getMessage(type);
      if (!desc) throw new Error(type);
      const { fromJSON } = await codecOf(desc);
      const full = fromJSON(toJson(desc, exampleOf(desc, new Set(desc.fields)))) as never;
      const all = pathsOf(desc);
      expect(all.length).to.be.greaterThan(7);
      for (const path of all) {
        const item = readMask(type, codec as typeof Machine, [path])?.(full) as unknown as Record<string, unknown>;
        const set = desc.fields.filter(({ localName }) => {
          const empty = (codec.fromPartial({}) as unknown as Record<string, unknown>)[localName];
          return JSON.stringify(item[localName]) !== JSON.stringify(empty);
        });
        expect(
          set.map(({ name }) => name),
          path,
        ).to.deep.equal([path.split('.')[0]]);
      }
      const mask = readMask(
        type,
        codec as typeof Machine,
        desc.fields.map(({ name }) => name),
      );
      expect(mask?.(full), 'all of them together').to.deep.equal(codec.fromPartial(full));
    });
  }

  it('take the whole where it and a part of it are asked for', () => {
    const item = Machine.fromPartial({ id: 'x', info: { hostname: 'h', os: 'o' } });
    for (const paths of [
      ['info', 'info.hostname'],
      ['info.hostname', 'info'],
    ])
      expect(readMask('occmesh.inventory.v1.Machine', Machine, paths)?.(item).info).to.deep.equal(item.info);
    expect(readMask('occmesh.inventory.v1.Machine', Machine, [])).to.equal(undefined);
  });

  it('refuse paths that there are not, and too many', () => {
    for (const paths of [[''], ['Id'], ['id.x'], ['info.'], ['lan_addresses.x'], ['__proto__'], Array(101).fill('id')])
      expect(() => readMask('occmesh.inventory.v1.Machine', Machine, paths), String(paths)).to.throw(/^read_mask: /);
  });
});
