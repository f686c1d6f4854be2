// The package's client, as a service uses it: whom it believes, what it sends, how its calls end.
import { expect } from 'chai';
import { type ConnectOptions, connect, every, type MeshClient, Outcome, Role, State } from '../../src/client/index.js';
import { ApiFault, ContractFault } from '../../src/contract/fault.js';
import { IdentityFault } from '../../src/identity/fault.js';
import type { MeshRole } from '../../src/identity/spiffe.js';
import { milliseconds } from '../../src/kernel/duration.js';
import { Scope } from '../../src/kernel/scope.js';
import { FakeClock } from '../support/fake-clock.js';
import { ACME, API_TOKEN, BIRCH, FakeCloud, PC } from '../unit/cli/fake-cloud.js';
import { faultOf } from './expect-fault.js';

describe('client', () => {
  let scope: Scope;
  beforeEach(() => {
    scope = new Scope();
  });
  afterEach(() => scope.stop());

  function clientOf(cloud: FakeCloud, options: Partial<ConnectOptions> = {}, clock?: FakeClock): MeshClient {
    const client = connect(
      { cloud: cloud.address, ca: cloud.ca, token: API_TOKEN, ...options },
      clock ? { clock } : {},
    );
    scope.defer(() => client.close());
    return client;
  }

  it('calls every service with sparse requests and typed answers', async () => {
    const cloud = await FakeCloud.start(scope);
    const client = clientOf(cloud);
    const { machines } = await client.machines.listMachines({ customerId: ACME });
    expect(machines.map(({ customerId }) => customerId))
      .to.include(ACME)
      .and.not.to.include(BIRCH);
    expect((await client.sensors.runSensor({ id: `${PC}/1` })).outcome).to.equal(Outcome.DONE);
    expect((await client.readings.getLatest()).readings[1]?.state).to.equal(State.CRITICAL);
    expect((await client.tokens.listTokens({})).tokens).to.have.length(2);
    // What is absent has the contract's default; what is undefined counts as absent.
    const filter = { includeRetired: false, states: [], role: Role.UNSPECIFIED, nameContains: '', readMask: undefined };
    expect(cloud.asked('listMachines')).to.deep.equal([{ customerId: ACME, pageSize: 0, pageToken: '', ...filter }]);
    await client.customers.updateCustomer({ id: ACME, name: undefined, directAllowed: false });
    expect(cloud.asked('updateCustomer')).to.deep.equal([
      {
        id: ACME,
        name: undefined,
        directAllowed: false,
        fallbackAfterMs: undefined,
        rawRetentionMs: undefined,
        summaryRetentionMs: undefined,
      },
    ]);
  });

  it('goes through all pages of a list', async () => {
    const cloud = await FakeCloud.start(scope);
    const client = clientOf(cloud);
    const names: string[] = [];
    for await (const { name } of every(client.customers.listCustomers, 'customers', {})) names.push(name);
    expect(names).to.deep.equal(['Acme', 'Birch & Co']);
    expect(cloud.asked('listCustomers')).to.deep.equal([
      { pageSize: 1_000, pageToken: '' },
      { pageSize: 1_000, pageToken: 'second' },
    ]);
  });

  it('streams, and leaving the loop ends the call at the cloud too', async () => {
    const cloud = await FakeCloud.start(scope);
    const client = clientOf(cloud);
    for await (const { readings } of client.readings.watchReadings({})) {
      expect(readings).to.have.length(2);
      break;
    }
    const pages: number[] = [];
    for await (const { readings } of client.readings.queryReadings({ machineId: PC })) pages.push(readings.length);
    expect(pages).to.deep.equal([1, 1]);
  });

  // TLS itself refuses a hub: its certificate is not for servers.
  const impostors: readonly (readonly [MeshRole, string])[] = [
    ['hub', 'is not a member of this mesh'],
    ['connector', 'the peer is a connector, not a cloud'],
  ];
  for (const [role, why] of impostors) {
    it(`believes no ${role} that says it is the cloud`, async () => {
      const impostor = await FakeCloud.start(scope, role);
      const fault = await faultOf(clientOf(impostor).customers.listCustomers());
      expect(fault.code).to.equal('contract.untrusted-peer');
      expect(fault.message).to.contain(why);
      expect(impostor.calls).to.deep.equal([]);
    });
  }

  it('believes no cloud of another mesh, and the right one under a name that its certificate does not have', async () => {
    const [cloud, other] = [await FakeCloud.start(scope), await FakeCloud.start(scope)];
    const fault = await faultOf(clientOf(cloud, { ca: other.ca }).customers.listCustomers());
    expect(fault.code).to.equal('contract.untrusted-peer');
    const port = cloud.address.split(':')[1];
    expect((await clientOf(cloud, { cloud: `localhost:${port}` }).customers.listCustomers()).customers).to.have.length(
      1,
    );
  });

  it('refuses a CA that is none before anything is sent', () => {
    expect(() => connect({ cloud: 'x:1', ca: 'no certificate', token: '' })).to.throw(IdentityFault, 'no certificate');
  });

  it('asks for the token before every call', async () => {
    const cloud = await FakeCloud.start(scope);
    let token = 'wrong';
    const client = clientOf(cloud, { token: () => token });
    const fault = await faultOf(client.customers.listCustomers());
    expect(fault.code).to.equal('contract.unauthenticated');
    expect(cloud.calls).to.deep.equal([]);
    token = `${API_TOKEN}\n`;
    expect((await client.customers.listCustomers()).customers).to.have.length(1);
  });

  it("hands on the cloud's own words as a fault", async () => {
    const cloud = await FakeCloud.start(scope);
    cloud.failNext = new ApiFault('api.already-exists', 'there is one', { field: 'name' });
    const fault = await faultOf(clientOf(cloud).customers.createCustomer({ name: 'x' }));
    expect(fault.code).to.equal('contract.already-exists');
    expect(fault.message).to.equal('name: there is one');
    expect(fault.permanent).to.equal(true);
  });

  it('calls once more when the cloud was away, unless that could do something twice', async () => {
    const cloud = await FakeCloud.start(scope);
    const away = () => new ContractFault('contract.unavailable', 'away');
    const client = clientOf(cloud);
    cloud.failNext = away();
    expect((await client.customers.listCustomers()).customers).to.have.length(1);
    expect(cloud.calls).to.have.length(2);
    cloud.failNext = away();
    expect((await faultOf(client.sensors.runSensor({ id: `${PC}/1` }))).code).to.equal('contract.unavailable');
    expect(cloud.asked('runSensor')).to.have.length(1);
    cloud.failNext = away();
    await client.customers.createCustomer({ name: 'x' });
    cloud.failNext = away();
    await client.customers.createCustomer({ name: 'x', requestId: 'mine' });
    const [first, again, ...mine] = cloud.requestIds;
    expect(first).to.equal(again).and.not.equal('');
    expect(mine).to.deep.equal(['mine', 'mine']);
    cloud.failNext = away();
    const impatient = clientOf(cloud, { tries: 1 });
    expect((await faultOf(impatient.customers.listCustomers())).code).to.equal('contract.unavailable');
  });

  it('takes many calls at a time without a warning', async () => {
    const cloud = await FakeCloud.start(scope);
    const client = clientOf(cloud);
    const warnings: string[] = [];
    const note = ({ message }: Error) => warnings.push(message);
    process.on('warning', note);
    try {
      await Promise.all(Array.from({ length: 30 }, () => client.customers.listCustomers()));
    } finally {
      process.off('warning', note);
    }
    expect(warnings).to.deep.equal([]);
  });

  it('gives up after 15 seconds, or what was said instead, and streams only when told', async () => {
    const cloud = await FakeCloud.start(scope);
    for (const [options, limit] of [
      [{}, 15_000],
      [{ within: 2_000 }, 2_000],
    ] as const) {
      const clock = new FakeClock();
      const client = clientOf(cloud, options, clock);
      const call = faultOf(client.sensors.runSensor({ id: 'stuck' }));
      await clock.advance(milliseconds(limit - 1));
      await clock.advance(milliseconds(1));
      const fault = await call;
      expect(fault.code).to.equal('contract.deadline');
    }
    const clock = new FakeClock();
    const watching = clientOf(cloud, {}, clock).readings.watchReadings({}, { within: 5_000 });
    expect((await watching.next()).done).to.equal(false);
    const next = faultOf(watching.next());
    await clock.advance(milliseconds(5_000));
    expect((await next).code).to.equal('contract.deadline');
  });

  it('can be cancelled, one call or all', async () => {
    const cloud = await FakeCloud.start(scope);
    const [one, all] = [new AbortController(), new AbortController()];
    const client = clientOf(cloud, { signal: all.signal });
    const single = faultOf(client.sensors.runSensor({ id: 'stuck' }, { signal: one.signal }));
    const watching = client.readings.watchReadings();
    await watching.next();
    const stream = faultOf(watching.next());
    one.abort();
    expect((await single).code).to.equal('contract.cancelled');
    expect((await client.customers.listCustomers()).customers).to.have.length(1);
    all.abort();
    expect((await stream).code).to.equal('contract.cancelled');
    expect((await faultOf(client.customers.listCustomers())).code).to.equal('contract.cancelled');
  });

  it('makes as many calls at once as anybody likes, without a word of warning', async () => {
    const cloud = await FakeCloud.start(scope);
    const client = clientOf(cloud, { signal: new AbortController().signal });
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    scope.defer(async () => void process.off('warning', note));
    await Promise.all(Array.from({ length: 30 }, () => client.customers.listCustomers()));
    // Warnings come at the next turn.
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).to.deep.equal([]);
  });

  it('ends its calls when it is closed, and may be closed twice', async () => {
    const cloud = await FakeCloud.start(scope);
    const client = clientOf(cloud);
    const watching = client.readings.watchReadings();
    await watching.next();
    const stream = faultOf(watching.next());
    await client.close();
    expect((await stream).code).to.equal('contract.cancelled');
    await client.close();
  });
});
