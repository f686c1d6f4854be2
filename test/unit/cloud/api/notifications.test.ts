// NotificationService: who may make channels for whom, what a channel may be, and that what is told bears the key that was
// shown.
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { NotificationServiceService } from '../../../../gen/occmesh/events/v1/events.js';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { NotificationService } from '../../../../src/cloud/api/notification-service.js';
import { Notifications, type NotifyOptions } from '../../../../src/cloud/notify/notifications.js';
import { MOST } from '../../../../src/cloud/quotas.js';
import { seconds } from '../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { Scope } from '../../../../src/kernel/scope.js';
import { uuidOf } from '../notify/post-office.js';
import { adminOf, faultOf, OPERATOR, TestApi } from './fixture.js';

const webhook = (url = 'https://hook.example/') => ({ $case: 'webhook' as const, value: { url } });
const email = (...to: string[]) => ({ $case: 'email' as const, value: { to } });
const SMTP = { host: '127.0.0.1', port: 1, tls: 'none', from: 'a@provider.example' } as const;

describe('API: notifications', () => {
  let api: TestApi;
  let scope: Scope;
  beforeEach(async () => {
    api = await TestApi.start();
    scope = new Scope();
  });
  afterEach(async () => {
    await scope.stop();
    await api[Symbol.asyncDispose]();
  });

  /** The service of a cloud with these options, beside that of the fixture. */
  async function serviceWith(options: NotifyOptions) {
    const { inventory, clock, directory } = api.cloud;
    const { journal, events } = api.monitoring;
    const modules = { journal, events, inventory, clock, random: systemRandom, log: silentLogger };
    const keyFile = join(directory, 'other.key');
    const notifications = await Notifications.open({ ...options, keyFile }, modules, scope);
    const service = new NotificationService({ inventory, notifications, clock });
    const call = { principal: OPERATOR, signal: new AbortController().signal };
    const empty = NotificationServiceService.createChannel.requestDeserialize(Buffer.alloc(0));
    return {
      create: (request: object) => service.createChannel({ ...empty, ...request }, call),
      test: (id: string) => service.testChannel({ id }, call),
    };
  }

  it('have names that tell them apart', async () => {
    const { id: customerId } = await api.cloud.customer('Acme');
    const request = { customerId, name: 'desk', way: webhook() };
    await api.call('createChannel', OPERATOR, request);
    expect(await faultOf(api.call('createChannel', OPERATOR, request))).to.match(/^inventory\.exists: .*"desk"/);
    const other = await api.cloud.customer('Other');
    await api.call('createChannel', OPERATOR, { ...request, customerId: other.id });
  });

  it('makes, lists and removes them; the key is shown once', async () => {
    const { id: customerId } = await api.cloud.customer('Acme');
    const admin = adminOf(customerId);
    const made = await api.call('createChannel', admin, { customerId, name: 'desk', way: webhook() });
    expect(made.key).to.match(/^[0-9a-f]{64}$/);
    expect(made.channel).to.deep.include({
      ...{ customerId, name: 'desk', deferMs: 30_000, waiting: 0, lastError: '' },
      ...{ way: webhook(), minSeverity: State.WARNING },
    });
    const wanted = { customerId, name: 'n', way: webhook(), minSeverity: State.CRITICAL, deferMs: 0 };
    const strict = await api.call('createChannel', admin, wanted);
    expect(strict.channel).to.deep.include({ minSeverity: State.CRITICAL, deferMs: 0 });
    expect(strict.key).to.not.equal(made.key);
    const { channels } = await api.call('listChannels', admin, {});
    expect(channels).to.have.deep.members([made.channel, strict.channel]);
    expect((await api.cloud.dump()).toString('latin1')).to.not.contain(made.key);
    await api.call('deleteChannel', admin, { id: made.channel?.id ?? '' });
    expect((await api.call('listChannels', admin, {})).channels).to.deep.equal([strict.channel]);
    expect(await faultOf(api.call('deleteChannel', admin, { id: made.channel?.id ?? '' }))).to.match(/not-found/);
  });

  it('are for all customers only if an operator says so, and then nobody else sees them', async () => {
    const { id: customerId } = await api.cloud.customer('Acme');
    const admin = adminOf(customerId);
    const request = { name: 'all', way: webhook() };
    expect(await faultOf(api.call('createChannel', admin, request))).to.match(/^api\.denied: only an operator/);
    const { channel } = await api.call('createChannel', OPERATOR, request);
    const id = channel?.id ?? '';
    expect(channel?.customerId).to.equal('');
    expect((await api.call('listChannels', admin, {})).channels).to.deep.equal([]);
    expect((await api.call('listChannels', OPERATOR, {})).channels).to.have.length(1);
    for (const rpc of ['deleteChannel', 'testChannel'] as const)
      expect(await faultOf(api.call(rpc, admin, { id }))).to.equal('inventory.not-found: no such channel');
  });

  const wrong: [what: string, request: object, told: RegExp][] = [
    ['no way', {}, /^api\.invalid: way/],
    ['no name', { name: '', way: webhook() }, /^api\.invalid: name/],
    ['a name with a line end', { name: 'a\nb', way: webhook() }, /^api\.invalid: name/],
    ['http', { way: webhook('http://hook.example/') }, /^api\.invalid: webhook\.url: must begin with https/],
    ['a password', { way: webhook('https://a:b@hook.example/') }, /^api\.invalid: webhook\.url/],
    ['a severity that is none', { way: webhook(), minSeverity: State.OK }, /^api\.invalid: min_severity/],
    ['more than a day', { way: webhook(), deferMs: 86_400_001 }, /^api\.invalid: defer_ms/],
    ['an e-mail without a mail server', { way: email('a@b.example') }, /^api\.precondition: .*no mail server/],
    ['a customer that there is not', { way: webhook(), customerId: uuidOf(9) }, /^inventory\.not-found/],
  ];
  for (const [what, request, told] of wrong) {
    it(`refuses ${what}`, async () => {
      expect(await faultOf(api.call('createChannel', OPERATOR, { name: 'n', ...request }))).to.match(told);
    });
  }

  it('takes e-mail addresses, one to sixteen, where there is a mail server', async () => {
    const { create, test } = await serviceWith({ smtp: SMTP });
    const { channel, key } = await create({ name: 'n', way: email('a@b.example') });
    expect(key).to.equal('');
    expect(channel?.way).to.deep.equal(email('a@b.example'));
    expect((await test(channel?.id ?? '')).error).to.contain('ECONNREFUSED');
    for (const to of [
      [],
      Array(17).fill('a@b.example'),
      ['a@b.example\r\nBcc: c@d.example'],
      ['A <a@b.example>'],
      ['a@b.example', 'A@b.example'],
    ])
      expect(await faultOf(create({ name: 'n', way: email(...to) }))).to.match(/^api\.invalid: email\.to/);
  });

  it('are fifty for each customer at most', async () => {
    const [one, two] = [await api.cloud.customer('One'), await api.cloud.customer('Two')];
    let number = 0;
    const create = (customerId: string) =>
      api.call('createChannel', OPERATOR, { customerId, name: `hook ${number++}`, way: webhook() });
    for (let i = 0; i < MOST.channels; i++) await create(one.id);
    expect(await faultOf(create(one.id))).to.match(/^inventory\.exhausted: there are 50 channels/);
    expect(await faultOf(create(two.id)), 'the control').to.equal('no fault');
  });

  it('are tried six times in a row at most, since somebody else gets what is sent', async () => {
    const { create, test } = await serviceWith({ privateWebhooks: true });
    const { channel } = await create({ name: 'n', way: webhook('http://127.0.0.1:1/') });
    const id = channel?.id ?? '';
    for (let i = 0; i < 6; i++) expect((await test(id)).error).to.contain('ECONNREFUSED');
    expect(await faultOf(test(id))).to.match(/^api\.exhausted/);
    await api.cloud.clock.advance(seconds(10));
    expect((await test(id)).error).to.contain('ECONNREFUSED');
  });

  it('sends what is told and what is tried under the key that was shown', async () => {
    const got: { signature: unknown; expected: string; body: string }[] = [];
    let key = '';
    let arrived: () => void = () => undefined;
    const server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      const mac = createHmac('sha256', Buffer.from(key, 'hex'));
      const expected = `v1=${mac.update(`${request.headers['occ-timestamp']}.${body}`).digest('hex')}`;
      got.push({ signature: request.headers['occ-signature'], expected, body });
      response.end();
      arrived();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const { create, test } = await serviceWith({ privateWebhooks: true });
    const { port } = server.address() as AddressInfo;
    const made = await create({ name: 'n', way: webhook(`http://127.0.0.1:${port}/`) });
    key = made.key;
    const channelId = made.channel?.id ?? '';
    expect(await test(channelId)).to.deep.equal({ error: '' });
    const { tables } = api.monitoring.journal;
    const times = { raisedAtMs: 1, changedAtMs: 1, comments: [] };
    const about = { customerId: uuidOf(1), machineId: uuidOf(2), cause: 'lost', severity: 'critical' } as const;
    const alarm = { v: 1, id: uuidOf(7), message: '', ...about, ...times } as const;
    await api.monitoring.journal.transact(() =>
      tables.notices.put({ v: 1, id: uuidOf(8), channelId, notice: 'raised', alarm, dueMs: api.cloud.clock.now() }),
    );
    // The fixture's own cloud has no right to send there, and says so.
    const both = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await api.cloud.clock.advance(seconds(2));
    await both;
    expect(got).to.have.length(2);
    for (const { signature, expected } of got) expect(signature).to.equal(expected);
    expect(got[1]?.body).to.contain('"notice":"raised"').and.to.contain(uuidOf(7));
  });
});
