// Requests that are repeated: one effect and the same answer for every RPC that changes something, across restarts, failed
// writes and races; for nobody else, and for nothing else.
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import type { Sensor } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { TokenServiceService } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { type MostKept, Requests } from '../../../../src/cloud/api/requests.js';
import { TABLES } from '../../../../src/cloud/tables.js';
import { loadDescriptors } from '../../../../src/contract/descriptors.js';
import type { CallContext } from '../../../../src/contract/handlers.js';
import { days, hours } from '../../../../src/kernel/duration.js';
import { Scope } from '../../../../src/kernel/scope.js';
import type { MemoryStore } from '../../../../src/storage/memory.js';
import { CHANGES, things, WAY } from './changes.js';
import { adminOf, DEFINITIONS, faultOf, OPERATOR, type Rpc, TestApi } from './fixture.js';

const REPEATABLE = Object.keys(CHANGES) as Rpc[];

/** The store without what is remembered of requests, as if it had not been written with its effect. */
async function forgetful(store: MemoryStore): Promise<MemoryStore> {
  const restarted = store.restarted();
  const gone: Buffer[] = [];
  for await (const { key } of restarted.entries({ from: Buffer.of(1), until: Buffer.alloc(40, 0xff) }))
    if (key[16] === TABLES.request) gone.push(key);
  expect(gone).to.not.be.empty;
  await restarted.commit(() => gone.map((del) => ({ del })));
  return restarted;
}

describe('API: repeated requests', () => {
  let api: TestApi;
  beforeEach(async () => {
    api = await TestApi.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  it('are tested for every RPC that has a request id', () => {
    const changes = loadDescriptors().changes();
    const all = Object.entries(DEFINITIONS).filter(
      ([, method]) => changes.has(method.path) && 'requestId' in method.requestDeserialize(Buffer.alloc(0)),
    );
    expect(all.map(([name]) => name).sort()).to.deep.equal([...REPEATABLE].sort());
  });

  for (const rpc of REPEATABLE) {
    it(`${rpc}: one effect, and the same answer`, async () => {
      const request = { ...CHANGES[rpc]?.(await things(api)), requestId: 'r' };
      const untouched = await api.cloud.dump();
      const first = await api.call(rpc, OPERATOR, request);
      const before = await api.cloud.dump();
      expect(before.equals(untouched), 'it changes something').to.equal(false);
      const again = await api.call(rpc, OPERATOR, request);
      // The text of a token is in no store: it is made anew.
      const { text, ...answer } = first as { text?: string };
      const { text: other, ...same } = again as { text?: string };
      expect(same).to.deep.equal(answer);
      if (text === undefined) expect((await api.cloud.dump()).equals(before)).to.equal(true);
      else expect(other).to.be.a('string').and.not.equal(text);
    });
  }

  it('without an id are new ones (negative control)', async () => {
    const { alarm } = await things(api);
    for (const comment of ['said', 'said']) await api.call('commentAlarm', OPERATOR, { id: alarm, comment });
    const { comments } = await api.call('commentAlarm', OPERATOR, { id: alarm, comment: 'said', requestId: 'r' });
    expect(comments).to.have.length(3);
  });

  it('have one effect across a restart, whether or not the first answer arrived', async () => {
    const { machine } = await things(api);
    const sensor = { machineId: machine, kind: 'ping', settings: { host: '10.0.0.1' }, requestId: 'r' };
    const first = await api.call('createSensor', OPERATOR, sensor);
    await api.call('deleteSensor', OPERATOR, { id: first.id, requestId: 'd' });
    await api.cloud.restart();
    expect(await api.call('createSensor', OPERATOR, sensor)).to.deep.equal(first);
    expect(await api.call('deleteSensor', OPERATOR, { id: first.id, requestId: 'd' })).to.deep.equal({});
    expect(api.cloud.inventory.sensors.get(first.id)).to.equal(undefined);
    expect(await faultOf(api.call('deleteSensor', OPERATOR, { id: first.id }))).to.match(/^inventory\.not-found/);
  });

  it('would have two, were they not remembered in the commit of the effect (negative control)', async () => {
    const { machine } = await things(api);
    const sensor = { machineId: machine, kind: 'load', requestId: 'r' };
    const first = await api.call('createSensor', OPERATOR, sensor);
    await api.cloud.restart(await forgetful(api.cloud.store));
    expect((await api.call('createSensor', OPERATOR, sensor)).number).to.equal(first.number + 1);
  });

  it('are carried out when the first could not be written', async () => {
    const { machine } = await things(api);
    const sensor = { machineId: machine, kind: 'load', requestId: 'r' };
    api.cloud.store.failNextWrite();
    expect(await faultOf(api.call('createSensor', OPERATOR, sensor))).to.match(/^storage\.write-failed/);
    const made = await api.call('createSensor', OPERATOR, sensor);
    expect(await api.call('createSensor', OPERATOR, sensor)).to.deep.equal(made);
  });

  it('may be refused, and tried again', async () => {
    const { customer } = await things(api);
    const request = { name: 'one', requestId: 'r' };
    expect(await faultOf(api.call('createCustomer', OPERATOR, request))).to.match(/^inventory\.exists/);
    await api.call('updateCustomer', OPERATOR, { id: customer, name: 'other' });
    expect((await api.call('createCustomer', OPERATOR, request)).name).to.equal('one');
  });

  it('wait for one that is under way', async () => {
    const calls = Array.from({ length: 5 }, () => api.call('createCustomer', OPERATOR, { name: 'x', requestId: 'r' }));
    const [first, ...others] = await Promise.all(calls);
    for (const other of others) expect(other).to.deep.equal(first);
    const { customers } = await api.call('listCustomers', OPERATOR, {});
    expect(customers).to.have.length(1);
  });

  it('with the id of a different one are refused', async () => {
    await api.call('createCustomer', OPERATOR, { name: 'x', requestId: 'r' });
    const refused = await api.call('createCustomer', OPERATOR, { name: 'y', requestId: 'r' }).catch((thrown) => thrown);
    expect(refused).to.include({ code: 'api.invalid', reason: 'REQUEST_ID_REUSED', field: 'request_id' });
    const long = { name: 'z', requestId: 'x'.repeat(65) };
    expect(await faultOf(api.call('createCustomer', OPERATOR, long))).to.match(/^api\.invalid: request_id:/);
  });

  it('are those of one token and one RPC', async () => {
    const { customer, machine } = await things(api);
    const sensor = { machineId: machine, kind: 'load', requestId: 'r' };
    const made: Sensor[] = [];
    for (const principal of [OPERATOR, { ...OPERATOR, tokenId: 'p' }, adminOf(customer)])
      made.push(await api.call('createSensor', principal, sensor));
    expect(new Set(made.map(({ id }) => id)).size).to.equal(3);
    await api.call('updateMachine', OPERATOR, { id: machine, name: 'other', requestId: 'r' });
    expect(api.cloud.machine(machine).name).to.equal('other');
  });

  it('for a token give it another text, and make the one before void', async () => {
    const { customer } = await things(api);
    const wanted = { customerId: customer, caller: Caller.CUSTOMER_READER, requestId: 'r' };
    const first = await api.call('createApiToken', OPERATOR, wanted);
    const { tokens } = api.cloud.inventory;
    expect(tokens.authenticate(first.text)?.tokenId).to.equal(first.token?.id);
    await api.cloud.restart();
    const again = await api.call('createApiToken', OPERATOR, wanted);
    const now = api.cloud.inventory.tokens;
    expect(now.authenticate(first.text)).to.equal(undefined);
    expect(now.authenticate(again.text)?.tokenId).to.equal(first.token?.id);
    for (const { text } of [first, again]) {
      expect((await api.cloud.dump()).includes(text)).to.equal(false);
      expect((await api.cloud.dump()).includes(Buffer.from(text.slice(4), 'base64url').subarray(16))).to.equal(false);
    }
  });

  it('never store the key of a webhook', async () => {
    const { customer } = await things(api);
    const wanted = { customerId: customer, name: 'desk', way: WAY, requestId: 'r' };
    const { key } = await api.call('createChannel', OPERATOR, wanted);
    expect(key).to.have.length.greaterThan(16);
    expect((await api.cloud.dump()).includes(key)).to.equal(false);
    expect((await api.cloud.dump()).includes('hook.invalid'), 'the control').to.equal(true);
  });
});

const PLENTY: MostKept = { records: 1_000, bytes: 1_000_000 };

describe('API: what is remembered of requests', () => {
  const method = TokenServiceService.revokeToken;
  const context = { principal: OPERATOR, signal: new AbortController().signal } as unknown as CallContext;

  async function withRequests(
    most: Partial<MostKept>,
    test: (ask: (requestId: string, result?: string) => Promise<number>, api: TestApi) => Promise<void>,
  ): Promise<void> {
    await using api = await TestApi.start();
    await using scope = new Scope();
    const { clock, store } = api.cloud;
    const requests = await Requests.open({ store, clock, customers: () => [] }, scope, { ...PLENTY, ...most });
    let effects = 0;
    const { journal } = api.monitoring;
    const ask = async (requestId: string, result?: string) => {
      await requests.once(method, { id: 'x', requestId } as never, context, () =>
        journal
          .change(() => {
            effects += 1;
            return result;
          })
          .then(() => ({})),
      );
      return effects;
    };
    await test(ask, api);
  }

  it('is bounded by bytes, too, also across a restart', () =>
    withRequests({ bytes: 5_000 }, async (ask, api) => {
      const size = async () => (await api.cloud.dump()).length;
      const empty = await size();
      for (let i = 0; i < 40; i++) await ask(`${i}`, 'x'.repeat(1_000));
      expect((await size()) - empty).to.be.lessThan(6_000);
      expect([await ask('39'), await ask('37')], 'the newest are known').to.deep.equal([40, 40]);
      expect(await ask('0')).to.equal(41);
      await using scope = new Scope();
      const { clock, store } = api.cloud;
      const again = await Requests.open({ store, clock, customers: () => [] }, scope, { ...PLENTY, bytes: 1_500 });
      const keep = () => api.monitoring.journal.change(() => undefined).then(() => ({}));
      await again.once(method, { id: 'x', requestId: 'new' } as never, context, keep);
      expect((await size()) - empty).to.be.lessThan(2_000);
    }));

  it('is not forgotten for being large, as long as nothing newer is there', () =>
    withRequests({ bytes: 5_000 }, async (ask) => {
      expect(await ask('a', 'x'.repeat(9_000))).to.equal(1);
      expect(await ask('a')).to.equal(1);
      expect([await ask('b'), await ask('a'), await ask('b')]).to.deep.equal([2, 3, 3]);
    }));

  it('is kept for a day', () =>
    withRequests({}, async (ask, { cloud }) => {
      expect(await ask('a')).to.equal(1);
      await cloud.clock.advance(hours(23));
      expect([await ask('b'), await ask('a')]).to.deep.equal([2, 2]);
      await cloud.clock.advance(hours(2));
      expect(await ask('c')).to.equal(3);
      const left = await cloud.dump();
      expect(await ask('b')).to.equal(3);
      await cloud.clock.advance(days(2));
      await ask('d');
      expect((await cloud.dump()).length).to.be.lessThan(left.length);
    }));

  it('makes nobody wait whose caller is gone', async () => {
    await using api = await TestApi.start();
    await using scope = new Scope();
    const { clock, store } = api.cloud;
    const requests = await Requests.open({ store, clock, customers: () => [] }, scope);
    const request = { id: 'x', requestId: 'r' };
    let end: () => void = () => {};
    const first = requests.once(method, request, context, () => new Promise<void>((resolve) => (end = resolve)));
    const abort = new AbortController();
    let ran = false;
    const second = requests.once(method, request, { ...context, signal: abort.signal }, async () => {
      ran = true;
    });
    abort.abort(new Error('gone'));
    expect(await faultOf(second)).to.equal('Error: gone');
    end();
    await first;
    expect(ran).to.equal(false);
  });

  it('is bounded: the oldest go first', () =>
    withRequests({ records: 3 }, async (ask) => {
      for (const id of ['a', 'b', 'c', 'd']) await ask(id);
      expect([await ask('b'), await ask('c'), await ask('d')]).to.deep.equal([4, 4, 4]);
      expect(await ask('a')).to.equal(5);
    }));
});
