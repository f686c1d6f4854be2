// The port that Prometheus scrapes, over real sockets: who is answered, with what, and what it costs others.
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import { Caller, Scope } from '../../../../gen/occmesh/access/v1/access.js';
import { authenticator } from '../../../../src/cloud/authenticate.js';
import { CallBudgets, OF_A_CUSTOMER } from '../../../../src/cloud/call-budgets.js';
import { OpenMetricsPort } from '../../../../src/cloud/openmetrics/port.js';
import type { Principal } from '../../../../src/contract/callers.js';
import { loadDescriptors } from '../../../../src/contract/descriptors.js';
import { minutes, seconds } from '../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { Scope as Lifetime } from '../../../../src/kernel/scope.js';
import { turn } from '../../../../src/kernel/turn.js';
import { parseOpenMetrics } from '../../../support/openmetrics-text.js';
import { testAuthority } from '../../../support/throwaway-certificates.js';
import { ScrapedCloud } from './fixture.js';

/** Each with 1 MB of text. */
const HUBS = 16;
const LOAD = [{ name: 'load', unit: '%', value: 12.5 }];

describe('the OpenMetrics port', () => {
  const scope = new Lifetime();
  let scraped: ScrapedCloud;
  let port: OpenMetricsPort;
  let trusted: ConnectionOptions;
  let budgets: CallBudgets;
  let [operator, ours, many] = ['', '', ''];
  const sockets: TLSSocket[] = [];

  before(async () => {
    scraped = await ScrapedCloud.start();
    const { inventory, clock } = scraped.modules;
    budgets = new CallBudgets(clock);
    const authority = await testAuthority();
    const { key, cert } = await authority.issue('cloud', { ip: ['127.0.0.1'] });
    const access = {
      rules: loadDescriptors().accessRules(),
      scopes: loadDescriptors().scopes(),
      authenticate: authenticator({ trust: scraped.cloud.authority.bundle, inventory, clock }),
      enter: async (principal: Principal) => budgets.enter(principal),
    };
    port = await OpenMetricsPort.start(
      { host: '127.0.0.1', port: 0, key, cert, ca: authority.ca, access },
      { ...scraped.modules, log: silentLogger, random: systemRandom },
    );
    scope.own(port);
    trusted = { ca: authority.ca, host: '127.0.0.1', port: port.address.port };
    for (const name of ['ours', 'theirs']) {
      const { id } = await scraped.cloud.customer(name);
      const { hub, sensor } = await scraped.hub(id);
      scraped.measured(hub, sensor, LOAD);
      if (name === 'ours') ours = id;
    }
    operator = (await scraped.token(Caller.OPERATOR)).text;
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
  });
  after(async () => {
    await scope.stop();
    await scraped[Symbol.asyncDispose]();
  });

  const open = async (): Promise<TLSSocket> => {
    const socket = connect(trusted);
    sockets.push(socket);
    await once(socket, 'secureConnect');
    return socket;
  };
  const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<IncomingMessage> => {
    const socket = await open();
    const asking = request({ createConnection: () => socket, path, method, headers });
    asking.end();
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    return response;
  };
  const bytesOf = async (response: IncomingMessage) => Buffer.concat(await response.toArray());
  const scrape = (token: string, path = '/metrics', more = {}) =>
    ask(path, { authorization: `Bearer ${token}`, ...more });
  const customersIn = (text: string) =>
    (parseOpenMetrics(text).get('occ_reading_value')?.samples ?? []).map(({ labels }) => labels.customer);

  it('tells a token what it may see', async () => {
    const response = await scrape(operator);
    expect(response.statusCode).to.equal(200);
    expect(response.headers['content-type']).to.equal('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(customersIn((await bytesOf(response)).toString())).to.have.members(['ours', 'theirs']);
    const one = await scrape(operator, `/metrics?customer=${ours}`);
    expect(customersIn((await bytesOf(one)).toString())).to.deep.equal(['ours']);
    for (const caller of [Caller.CUSTOMER_READER, Caller.CUSTOMER_ADMIN] as const) {
      const { text } = await scraped.token(caller, ours);
      expect(customersIn((await bytesOf(await scrape(text))).toString())).to.deep.equal(['ours']);
    }
  });

  it('packs it for those who want that', async () => {
    for (const [accepted, packed] of [
      ['gzip', true],
      ['deflate, gzip;q=0.5', true],
      ['gzip;q=0', false],
      ['x-gzip', false],
    ] as const) {
      const response = await scrape(operator, `/metrics?customer=${ours}`, { 'accept-encoding': accepted });
      expect(response.headers['content-encoding'], accepted).to.equal(packed ? 'gzip' : undefined);
      const body = await bytesOf(response);
      expect(customersIn((packed ? gunzipSync(body) : body).toString())).to.deep.equal(['ours']);
    }
  });

  it('answers nobody else', async () => {
    const revoked = await scraped.token(Caller.OPERATOR);
    await scraped.cloud.inventory.tokens.revoke(revoked.id);
    for (const headers of [
      {},
      { authorization: '' },
      { authorization: 'Bearer nonsense' },
      { authorization: `Basic ${operator}` },
      { authorization: `Bearer ${revoked.text}` },
    ]) {
      const response = await ask('/metrics', headers);
      expect(response.statusCode, JSON.stringify(headers)).to.equal(401);
      expect(response.headers['www-authenticate']).to.equal('Bearer');
      expect((await bytesOf(response)).toString()).to.not.contain('occ_');
    }
  });

  it('answers a service if its scopes let it read readings', async () => {
    for (const [scope, status] of [
      [Scope.READINGS_READ, 200],
      [Scope.INVENTORY_READ, 403],
    ] as const) {
      const { text } = await scraped.token(Caller.SERVICE, ours, [scope]);
      expect((await scrape(text)).statusCode, Scope[scope]).to.equal(status);
    }
  });

  it('says what is wrong with a request', async () => {
    const { text } = await scraped.token(Caller.CUSTOMER_READER, ours);
    const theirs = [...scraped.cloud.inventory.customers.all()].find(({ id }) => id !== ours)?.id;
    const status = async (path: string, token = operator) => (await scrape(token, path)).statusCode;
    expect(await status('/')).to.equal(404);
    expect(await status('//metrics')).to.equal(404);
    expect(await status('/metrics?customer=x')).to.equal(404);
    // What belongs to others is answered like what does not exist.
    expect(await status(`/metrics?customer=${theirs}`, text)).to.equal(404);
    expect(await status('/metrics?customer=00000000-0000-0000-0000-000000000000', text)).to.equal(404);
    expect((await ask('/metrics', { authorization: `Bearer ${operator}` }, 'POST')).statusCode).to.equal(405);
  });

  it('does not make a text for whoever does not read it, and lets go of who takes too long', async () => {
    many = await manySeries();
    const { text: token } = await scraped.token(Caller.CUSTOMER_READER, many);
    let made = 0;
    const { latest } = scraped.modules;
    const of = latest.of.bind(latest);
    scraped.latest.of = (hub) => {
      made += 1;
      return of(hub);
    };
    const slow = await open();
    slow.pause();
    slow.write(`GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    // Others are answered meanwhile, until it can be seen that no more is made for the slow one.
    for (let before = -1; made !== before || made === 0; ) {
      before = made;
      expect((await ask('/')).statusCode).to.equal(404);
      for (let i = 0; i < 100; i++) await turn();
    }
    expect(made).to.be.lessThan(2 * HUBS);
    const closed = once(slow.on('error', () => undefined).resume(), 'close');
    await scraped.cloud.clock.advance(minutes(1));
    await closed;
    scraped.latest.of = of;
  });

  it('gives whoever may ask most of a minute to read the text', async () => {
    const { text: token } = await scraped.token(Caller.CUSTOMER_READER, many);
    const response = await scrape(token);
    await scraped.cloud.clock.advance(seconds(50));
    expect((await bytesOf(response)).subarray(-6).toString()).to.equal('# EOF\n');
  });

  it('has no place for long for whoever does not ask, or may not', async () => {
    const silent = await open();
    const closed = once(silent.resume(), 'close');
    await scraped.cloud.clock.advance(seconds(9));
    expect(silent.destroyed).to.equal(false);
    await scraped.cloud.clock.advance(seconds(1));
    await closed;
  });

  it('answers a token twice at a time, and not more', async () => {
    const { text: token } = await scraped.token(Caller.CUSTOMER_READER, many);
    const first = await scrape(token);
    const second = await scrape(token);
    expect([first.statusCode, second.statusCode]).to.deep.equal([200, 200]);
    expect((await scrape(token)).statusCode).to.equal(429);
    expect((await scrape(operator, `/metrics?customer=${ours}`)).statusCode, 'of others').to.equal(200);
    for (const response of [first, second])
      expect((await bytesOf(response)).subarray(-6).toString()).to.equal('# EOF\n');
    const again = await scrape(token);
    expect(again.statusCode).to.equal(200);
    again.destroy();
  });

  it('counts a scrape as a call of its customer, until it is over', async () => {
    const { id: customerId } = await scraped.cloud.customer('busy');
    const { text: token } = await scraped.token(Caller.CUSTOMER_READER, customerId);
    const busy = { kind: 'user', caller: Caller.CUSTOMER_READER, customerId, tokenId: 'another' } as const;
    // As many as there may be at once, but one.
    const calls = Array.from({ length: OF_A_CUSTOMER.atOnce - 1 }, () => budgets.enter(busy));
    for (let i = 0; i < 3; i++) {
      const response = await scrape(token);
      expect(response.statusCode).to.equal(200);
      await bytesOf(response);
    }
    calls.push(budgets.enter(busy));
    expect((await scrape(token)).statusCode).to.equal(429);
    expect((await scrape(operator, `/metrics?customer=${ours}`)).statusCode, 'of others').to.equal(200);
    for (const leave of calls) leave();
    expect((await scrape(token)).statusCode).to.equal(200);
  });

  it('takes what is refused for a call, too', async () => {
    const { id: customerId } = await scraped.cloud.customer('curious');
    const { text: token, id: tokenId } = await scraped.token(Caller.SERVICE, customerId);
    expect((await scrape(token)).statusCode, 'it has no scope').to.equal(403);
    const other = { kind: 'user', caller: Caller.SERVICE, customerId, tokenId } as const;
    const calls = Array.from({ length: OF_A_CUSTOMER.atOnce }, () => budgets.enter(other));
    expect((await scrape(token)).statusCode).to.equal(429);
    for (const leave of calls) leave();
    expect((await scrape(token)).statusCode, 'and is let go').to.equal(403);
  });

  it('breaks a text off when its token is revoked', async () => {
    const { text: token, id } = await scraped.token(Caller.CUSTOMER_READER, many);
    const response = await scrape(token);
    await scraped.cloud.inventory.tokens.revoke(id);
    const failure = await bytesOf(response).catch((error: NodeJS.ErrnoException) => error);
    expect(failure).to.include({ code: 'ECONNRESET' });
  });

  it('ends connections that speak no TLS, or HTTP/2', async () => {
    const plain = connectTcp(port.address.port, '127.0.0.1', () => plain.write('GET /metrics HTTP/1.1\r\n\r\n'));
    plain.on('error', () => undefined).resume();
    await once(plain, 'close');
    const h2 = connect({ ...trusted, ALPNProtocols: ['h2'] });
    h2.on('error', () => undefined).resume();
    await once(h2, 'close');
    expect((await ask('/')).statusCode).to.equal(404);
  });

  /** A customer whose text is more than what fits into the buffers on the way. */
  async function manySeries(): Promise<string> {
    const { id } = await scraped.cloud.customer('many');
    const values = Array.from({ length: 256 }, (_, i) => ({ name: `${'m'.repeat(4_000)}${i}`, unit: '', value: i }));
    for (let i = 0; i < HUBS; i++) {
      const { hub, sensor } = await scraped.hub(id);
      scraped.measured(hub, sensor, values);
    }
    return id;
  }
});
