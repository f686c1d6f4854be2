// The services of inventory.v1 besides tenancy: limits of fields, pages, retries, what a machine and a sensor look like.
import { expect } from 'chai';
import { Caller, Scope } from '../../../../gen/occmesh/access/v1/access.js';
import { Role } from '../../../../gen/occmesh/enrollment/v1/enrollment.js';
import { MachineState, TokenKind } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { Outcome, Path } from '../../../../gen/occmesh/link/v1/link.js';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Principal } from '../../../../src/contract/callers.js';
import { parseEnrollmentToken } from '../../../../src/identity/token-text.js';
import { uuidBytes, uuidText } from '../../../../src/identity/uuid.js';
import { Fault } from '../../../../src/kernel/fault.js';
import { CATALOGUE } from '../../../../src/sensors/catalogue.js';
import { membership, TestMachine } from '../inventory/fixture.js';
import { adminOf, faultOf, OPERATOR, type Rpc, SILENT, TestApi } from './fixture.js';

async function withHub(test: (api: TestApi, hub: string, customer: string) => Promise<void>): Promise<void> {
  await using api = await TestApi.start();
  const { id } = await api.cloud.customer('one');
  const { record } = await api.cloud.enrolled(id, 'hub');
  await test(api, record.id, id);
}

describe('inventory API: limits', () => {
  it('names the field that breaks its limit', () =>
    withHub(async (api, hub, customer) => {
      const sensor = `${hub}/1`;
      const threshold = (text: string) => [{ metric: 'usage', warning: text, critical: '' }];
      const bad: [Rpc, object, string][] = [
        ['createCustomer', { name: '' }, 'name'],
        ['createCustomer', { name: 'x'.repeat(65) }, 'name'],
        ['createCustomer', { name: 'a\nb' }, 'name'],
        ['createCustomer', { name: ' a' }, 'name'],
        ['createCustomer', { name: 'a', requestId: 'x'.repeat(65) }, 'request_id'],
        ['listCustomers', { pageSize: 1_001 }, 'page_size'],
        ['listMachines', { pageToken: 'nonsense' }, 'page_token'],
        ['updateCustomer', {}, 'id'],
        ['updateCustomer', { id: customer, fallbackAfterMs: 999 }, 'fallback_after_ms'],
        ['updateCustomer', { id: customer, fallbackAfterMs: 86_400_001 }, 'fallback_after_ms'],
        ['updateCustomer', { id: customer, rawRetentionMs: 7 * 86_400_000 - 1 }, 'raw_retention_ms'],
        ['updateCustomer', { id: customer, summaryRetentionMs: 3_660 * 86_400_000 + 1 }, 'summary_retention_ms'],
        ['updateCustomer', { id: customer, rawRetentionMs: 401 * 86_400_000 }, 'raw_retention_ms'],
        ['updateCustomer', { id: customer, summaryRetentionMs: 29 * 86_400_000 }, 'summary_retention_ms'],
        ['updateMachine', { id: hub, name: '' }, 'name'],
        ['createSensor', { kind: 'cpu' }, 'machine_id'],
        ['createSensor', { machineId: hub, kind: 'nonesuch' }, 'kind'],
        ['createSensor', { machineId: hub, kind: 'toString' }, 'kind'],
        ['createSensor', { machineId: hub, kind: 'http' }, 'settings'],
        ['createSensor', { machineId: hub, kind: 'cpu', settings: { misspelt: 1 } }, 'settings'],
        ['createSensor', { machineId: hub, kind: 'cpu', intervalMs: 999 }, 'interval_ms'],
        ['createSensor', { machineId: hub, kind: 'cpu', intervalMs: 5_000, timeoutMs: 5_000 }, 'timeout_ms'],
        ['createSensor', { machineId: hub, kind: 'cpu', thresholds: threshold('9:1') }, 'thresholds[0]'],
        [
          'createSensor',
          { machineId: hub, kind: 'tcp', settings: { host: 'a', port: 1 }, thresholds: threshold('9') },
          'thresholds[0].metric',
        ],
        [
          'updateSensor',
          { id: sensor, thresholds: { thresholds: [{ metric: 'usge', warning: '9', critical: '' }] } },
          'thresholds[0].metric',
        ],
        ['updateSensor', { id: sensor, name: 'x'.repeat(65) }, 'name'],
        ['updateSensor', { id: sensor, intervalMs: 5_000 }, 'timeout_ms'],
        ['updateSensor', { id: sensor, timeoutMs: 0 }, 'timeout_ms'],
        ['updateSensor', { id: sensor, settings: { misspelt: 1 } }, 'settings'],
        ['updateSensor', { id: sensor, thresholds: { thresholds: threshold('x') } }, 'thresholds[0]'],
        ['createEnrollmentToken', { customerId: customer }, 'role'],
        ['createEnrollmentToken', { customerId: customer, role: Role.CLOUD }, 'role'],
        ['createEnrollmentToken', { customerId: customer, role: Role.HUB, uses: 10_001 }, 'uses'],
        ['createEnrollmentToken', { customerId: customer, role: Role.HUB, lifetimeMs: 59_999 }, 'lifetime_ms'],
        ['createEnrollmentToken', { customerId: customer, role: Role.HUB, connectors: ['10.0.0.1'] }, 'connectors[0]'],
        ['createApiToken', { caller: Caller.HUB, customerId: customer }, 'caller'],
        ['createApiToken', { caller: Caller.OPERATOR, customerId: customer }, 'customer_id'],
        ['createApiToken', { caller: Caller.CUSTOMER_ADMIN }, 'customer_id'],
        ['createApiToken', { caller: Caller.SERVICE, customerId: customer }, 'scopes'],
        [
          'createApiToken',
          { caller: Caller.SERVICE, customerId: customer, scopes: [Scope.READINGS_READ, 99] },
          'scopes[1]',
        ],
        [
          'createApiToken',
          { caller: Caller.CUSTOMER_READER, customerId: customer, scopes: [Scope.READINGS_READ] },
          'scopes',
        ],
      ];
      const before = await api.cloud.dump();
      for (const [rpc, request, field] of bad) {
        const fault: unknown = await api.call(rpc, OPERATOR, request).catch((thrown) => thrown);
        if (!(fault instanceof Fault)) throw new Error(`${rpc} ${field}: ${String(fault)}`);
        expect(['api.invalid', 'inventory.invalid'], `${rpc} ${field}: ${fault.message}`).to.include(fault.code);
        expect(fault.field, fault.message)
          .to.be.a('string')
          .and.satisfy((text: string) => text.startsWith(field));
      }
      expect((await api.cloud.dump()).equals(before)).to.equal(true);
    }));

  it('lists the kinds when there is no such kind', () =>
    withHub(async (api, hub) => {
      const told = await faultOf(api.call('createSensor', OPERATOR, { machineId: hub, kind: 'nonesuch' }));
      for (const kind of Object.keys(CATALOGUE)) expect(told).to.include(kind);
    }));
});

describe('inventory API: pages', () => {
  it('walk over everything once, in order, while things come and go', async () => {
    await using api = await TestApi.start();
    const names = Array.from({ length: 25 }, (_, i) => `customer ${String(i).padStart(2, '0')}`);
    for (const name of [...names].reverse()) await api.cloud.customer(name);
    const seen: string[] = [];
    let pageToken = '';
    do {
      const page = await api.call('listCustomers', OPERATOR, { pageSize: 10, pageToken });
      seen.push(...page.customers.map(({ name }) => name));
      pageToken = page.nextPageToken;
      if (seen.length === 10) await api.cloud.customer('customer 00 and a half');
    } while (pageToken !== '');
    expect(seen).to.deep.equal(names);
  });

  it('end exactly at a full page', async () => {
    await using api = await TestApi.start();
    for (const name of ['a', 'b']) await api.cloud.customer(name);
    const page = await api.call('listCustomers', OPERATOR, { pageSize: 2 });
    expect(page.customers).to.have.length(2);
    expect(page.nextPageToken).to.equal('');
  });

  it('order sensors by number, not by its digits', () =>
    withHub(async (api, hub) => {
      for (let i = 0; i < 6; i++) await api.call('createSensor', OPERATOR, { machineId: hub, kind: 'load' });
      const { sensors } = await api.call('listSensors', OPERATOR, { machineId: hub });
      expect(sensors.map(({ number }) => number)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }));
});

describe('inventory API: machines', () => {
  it('show what is on record together with how they are', () =>
    withHub(async (api, hub, customer) => {
      api.presence.set(hub, {
        ...SILENT,
        state: MachineState.ONLINE,
        path: Path.DIRECT,
        lastSeenMs: 5,
        queuedReadings: 7,
        clockOffsetMs: -30,
        software: '9.9.9',
      });
      const applied = {
        version: 5,
        runningVersion: 4,
        error: 'too new',
        failures: [{ sensor: 2, error: 'no swap' }],
        secretFailures: [],
      };
      await api.cloud.inventory.reports.applied(hub, applied);
      const { machines } = await api.call('listMachines', OPERATOR, { customerId: customer });
      expect(machines).to.have.length(1);
      expect(machines[0]).to.deep.include({
        id: hub,
        customerId: customer,
        role: Role.HUB,
        name: 'srv1',
        state: MachineState.ONLINE,
        path: Path.DIRECT,
        lastSeenMs: 5,
        queuedReadings: 7,
        clockOffsetMs: -30,
        software: '9.9.9',
        configVersion: 5,
        runningVersion: 4,
        configError: 'too new',
        directAllowed: undefined,
        quarantined: false,
      });
      const { sensors } = await api.call('listSensors', OPERATOR, { machineId: hub });
      expect(sensors.map(({ configError }) => configError)).to.deep.equal(['', 'no swap', '', '', '']);
    }));

  it('are retired for good, and listed only when asked for', () =>
    withHub(async (api, hub) => {
      api.presence.set(hub, { ...SILENT, state: MachineState.ONLINE });
      expect(await api.call('retireMachine', OPERATOR, { id: hub })).to.include({ state: MachineState.RETIRED });
      expect(await api.call('retireMachine', OPERATOR, { id: hub })).to.include({ state: MachineState.RETIRED });
      expect((await api.call('listMachines', OPERATOR, {})).machines).to.deep.equal([]);
      expect((await api.call('listMachines', OPERATOR, { includeRetired: true })).machines).to.have.length(1);
      expect((await api.call('listSensors', OPERATOR, {})).sensors).to.deep.equal([]);
      expect((await api.call('listSensors', OPERATOR, { machineId: hub })).sensors).to.have.length(5);
      for (const [rpc, request] of [
        ['createSensor', { machineId: hub, kind: 'cpu' }],
        ['runSensor', { id: `${hub}/1` }],
      ] as const) {
        expect(await faultOf(api.call(rpc, OPERATOR, request)), rpc).to.match(/^inventory\.unsuitable/);
      }
    }));

  it('come out of quarantine by being released', () =>
    withHub(async (api, hub) => {
      await api.cloud.inventory.reports.setQuarantined(hub, 'cloned');
      const [machine] = (await api.call('listMachines', OPERATOR, {})).machines;
      expect(machine?.quarantined).to.equal(true);
      expect(await faultOf(api.call('runSensor', OPERATOR, { id: `${hub}/1` }))).to.match(/^inventory\.unsuitable/);
      expect(await api.call('releaseMachine', OPERATOR, { id: hub })).to.include({ quarantined: false });
      expect(await api.call('releaseMachine', OPERATOR, { id: hub })).to.include({ quarantined: false });
    }));
});

describe('inventory API: sensors', () => {
  it('get name, times and thresholds of their kind', () =>
    withHub(async (api, hub) => {
      const created = [];
      for (let i = 0; i < 2; i++)
        created.push(await api.call('createSensor', OPERATOR, { machineId: hub, kind: 'cpu' }));
      expect(created.map(({ name, number, id }) => [name, number, id])).to.deep.equal([
        ['cpu', 6, `${hub}/6`],
        ['cpu 2', 7, `${hub}/7`],
      ]);
      expect(created[0]).to.deep.include({
        intervalMs: 60_000,
        timeoutMs: 10_000,
        thresholds: [{ metric: 'usage', warning: '90', critical: '98' }],
        settings: {},
      });
      const quick = { machineId: hub, kind: 'cpu', intervalMs: 5_000 };
      expect(await api.call('createSensor', OPERATOR, quick)).to.include({ intervalMs: 5_000, timeoutMs: 4_000 });
      const named = { machineId: hub, kind: 'load', name: 'cpu' };
      expect(await faultOf(api.call('createSensor', OPERATOR, named))).to.match(/^inventory\.exists/);
    }));

  it('take thresholds on what their kind can measure, and on anything where only the plugin knows', () =>
    withHub(async (api, machineId) => {
      const create = (kind: string, metric: string, settings = {}) =>
        api.call('createSensor', OPERATOR, {
          machineId,
          kind,
          settings,
          thresholds: [{ metric, warning: '1', critical: '' }],
        });
      for (const metric of ['/used', '/var/used', '/data*', '*', '*/free']) {
        expect((await create('disk', metric)).thresholds[0]?.metric).to.equal(metric);
      }
      expect((await create('exec', 'anything at all', { program: '/usr/lib/x' })).kind).to.equal('exec');
    }));

  it('keep what an update does not name, and lose their thresholds only when told to', () =>
    withHub(async (api, hub) => {
      const made = { machineId: hub, kind: 'ping', settings: { host: '10.0.0.1', count: 5 } };
      const sensor = await api.call('createSensor', OPERATOR, made);
      const paused = await api.call('updateSensor', OPERATOR, { id: sensor.id, paused: true });
      expect(paused).to.deep.equal({ ...sensor, paused: true });
      const bare = await api.call('updateSensor', OPERATOR, { id: sensor.id, thresholds: { thresholds: [] } });
      expect(bare).to.deep.equal({ ...paused, thresholds: [] });
      expect(sensor.thresholds).to.not.deep.equal([]);
    }));

  it('belong on hubs only', async () => {
    await using api = await TestApi.start();
    const { record, embedded } = await api.cloud.enrolled((await api.cloud.customer('one')).id, 'connector');
    const onConnector = api.call('createSensor', OPERATOR, { machineId: record.id, kind: 'cpu' });
    expect(await faultOf(onConnector)).to.match(/^inventory\.unsuitable/);
    const onHub = api.call('createSensor', OPERATOR, { machineId: embedded?.id ?? '', kind: 'cpu' });
    expect(await faultOf(onHub)).to.equal('no fault');
  });

  it('are limited in number and size, so that the desired state fits a message', () =>
    withHub(async (api, hub) => {
      const large = { machineId: hub, kind: 'tcp', settings: { host: 'a', port: 1, send: 'x'.repeat(4_000) } };
      let made = 0;
      let told = '';
      while (told === '' && made < 200) {
        const outcome = await faultOf(api.call('createSensor', OPERATOR, large));
        if (outcome === 'no fault') made++;
        else told = outcome;
      }
      expect(told).to.match(/^inventory\.exhausted/);
      expect(made).to.be.within(120, 135);
      expect(api.cloud.inventory.machines.desiredState(hub)?.sensors).to.have.length(made + 5);
    }));

  it('run now when their hub is there', () =>
    withHub(async (api, hub) => {
      const answer = await api.call('runSensor', OPERATOR, { id: `${hub}/3` });
      expect(answer).to.deep.equal({ outcome: Outcome.DONE, message: 'fine', state: State.OK });
      expect(api.commands).to.deep.equal([[hub, 3]]);
      expect(await faultOf(api.call('runSensor', OPERATOR, { id: `${hub}/77` }))).to.match(/^inventory\.not-found/);
    }));
});

describe('inventory API: tokens', () => {
  it('for a machine that comes back are for that one, once, as what it is', async () => {
    await using api = await TestApi.start();
    const [{ id: customerId }, { id: other }] = [await api.cloud.customer('one'), await api.cloud.customer('other')];
    const { record: hub } = await api.cloud.enrolled(customerId, 'hub');
    const { record: connector, embedded } = await api.cloud.enrolled(customerId, 'connector');
    const { token, text } = await api.call('createEnrollmentToken', OPERATOR, { machineId: hub.id });
    expect(token).to.include({ machineId: hub.id, customerId, role: Role.HUB, uses: 1 });
    expect(parseEnrollmentToken(text).machineId).to.deep.equal(uuidBytes(hub.id));
    const listed = (await api.call('listTokens', OPERATOR, {})).tokens.find(({ id }) => id === token?.id);
    expect(listed?.machineId).to.equal(hub.id);
    const told = (request: object) => faultOf(api.call('createEnrollmentToken', OPERATOR, request));
    expect(await told({ machineId: connector.id })).to.equal('no fault');
    expect(await told({ machineId: hub.id, uses: 2 })).to.match(/^api\.invalid: uses/);
    expect(await told({ machineId: hub.id, role: Role.CONNECTOR })).to.match(/^api\.invalid: role/);
    expect(await told({ machineId: hub.id, customerId: other })).to.match(/^api\.invalid: customer_id/);
    expect(await told({ machineId: embedded?.id })).to.match(/^api\.precondition: .* comes back with it/);
    await api.cloud.inventory.machines.retire(hub.id);
    expect(await told({ machineId: hub.id })).to.match(/^api\.precondition: .* is retired/);
  });

  it('for enrolment hold everything that a machine needs, and let it in', async () => {
    await using api = await TestApi.start();
    const { id: customerId } = await api.cloud.customer('one');
    const request = { customerId, role: Role.CONNECTOR, connectors: ['10.0.0.1:11000', '[fe80::1]:11000'], name: 'x' };
    const { token, text } = await api.call('createEnrollmentToken', OPERATOR, request);
    const parsed = parseEnrollmentToken(text);
    expect(parsed).to.deep.include({
      cloud: 'cloud.example:443',
      role: Role.CONNECTOR,
      connectors: request.connectors,
    });
    expect(parsed.expiresAtMs).to.equal(api.cloud.clock.now() + 3_600_000);
    expect(uuidText(parsed.customerId)).to.equal(customerId);
    expect(Buffer.from(parsed.enrollmentKey)).to.deep.equal(api.cloud.sealingKey.publicKey);
    expect(parsed.caCertificates.map((der) => Buffer.from(der))).to.deep.equal([...api.cloud.authority.bundle.ders]);
    expect(token).to.include({ kind: TokenKind.ENROLLMENT, uses: 1, used: 0, customerId, revoked: false });
    expect(membership(await TestMachine.of('connector').enrol(api.cloud, parsed))).to.have.length(2);
    expect((await api.call('listTokens', OPERATOR, {})).tokens[0]).to.include({ used: 1 });
  });

  it('for services see what an operator or an administrator lets them see, and cannot widen it', async () => {
    await using api = await TestApi.start();
    const [one, two] = [await api.cloud.customer('one'), await api.cloud.customer('two')];
    const scopes = [Scope.INVENTORY_WRITE, Scope.INVENTORY_READ, Scope.INVENTORY_READ];
    const service = { caller: Caller.SERVICE, scopes };
    const seenBy = async (by: Principal, customerId: string) => {
      const { text, token } = await api.call('createApiToken', by, { ...service, customerId });
      expect(token?.scopes).to.deep.equal([Scope.INVENTORY_READ, Scope.INVENTORY_WRITE]);
      const bearer = api.cloud.inventory.tokens.authenticate(text);
      if (!bearer) throw new Error('not authenticated');
      const { customers } = await api.call('listCustomers', bearer, {});
      return { bearer, names: customers.map(({ name }) => name) };
    };
    const bound = await seenBy(adminOf(one.id), one.id);
    expect(bound.names).to.deep.equal(['one']);
    const everywhere = await seenBy(OPERATOR, '');
    expect(everywhere.names).to.deep.equal(['one', 'two']);
    const make = (by: Principal, customerId: string) =>
      faultOf(api.call('createApiToken', by, { ...service, customerId }));
    expect(await make(adminOf(one.id), two.id)).to.equal('inventory.not-found: no such customer');
    expect(await make(adminOf(one.id), '')).to.match(/^api\.invalid: customer_id/);
    expect(await faultOf(api.call('createCustomer', bound.bearer, { name: 'three' }))).to.match(/^api\.denied/);
    expect(await faultOf(api.call('createCustomer', everywhere.bearer, { name: 'three' }))).to.equal('no fault');
    expect(await faultOf(api.call('updateCustomer', bound.bearer, { id: two.id, name: 'x' }))).to.match(/not-found/);
  });

  it('of a customer do not find out what others are called', async () => {
    await using api = await TestApi.start();
    const [{ id }] = [await api.cloud.customer('one'), await api.cloud.customer('two')];
    const rename = (by: Principal, name: string) => faultOf(api.call('updateCustomer', by, { id, name }));
    const create = (by: Principal, name: string) => faultOf(api.call('createCustomer', by, { name }));
    const { text } = await api.call('createApiToken', adminOf(id), {
      caller: Caller.SERVICE,
      scopes: [Scope.INVENTORY_WRITE],
      customerId: id,
    });
    const service = api.cloud.inventory.tokens.authenticate(text);
    if (!service) throw new Error('not authenticated');
    for (const by of [adminOf(id), service]) {
      expect(await rename(by, 'two'))
        .to.match(/^api\.denied/)
        .and.equal(await rename(by, 'free'));
      expect(await rename(by, 'one'), 'no change').to.equal('no fault');
    }
    expect(await create(service, 'two'))
      .to.match(/^api\.denied/)
      .and.equal(await create(service, 'free'));
    expect(await rename(OPERATOR, 'two'), 'negative control').to.match(/^inventory\.exists/);
    expect(await rename(OPERATOR, 'free')).to.equal('no fault');
  });

  it('for the API work until revoked', async () => {
    await using api = await TestApi.start();
    const { id: customerId } = await api.cloud.customer('one');
    const { token, text } = await api.call('createApiToken', OPERATOR, { caller: Caller.CUSTOMER_READER, customerId });
    expect(token).to.include({ kind: TokenKind.API, caller: Caller.CUSTOMER_READER, expiresAtMs: 0 });
    const bearer = api.cloud.inventory.tokens.authenticate(text);
    if (!bearer) throw new Error('not authenticated');
    expect((await api.call('listCustomers', bearer, {})).customers.map(({ id }) => id)).to.deep.equal([customerId]);
    expect(await api.call('revokeToken', OPERATOR, { id: token?.id ?? '' })).to.include({ revoked: true });
    expect(await api.call('revokeToken', OPERATOR, { id: token?.id ?? '' })).to.include({ revoked: true });
    expect(api.cloud.inventory.tokens.authenticate(text)).to.equal(undefined);
  });
});
