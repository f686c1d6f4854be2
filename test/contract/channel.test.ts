// Client channels: what goes wrong while connecting is said in words, a server that says nothing is given up, proxies
// are used when they are configured and never otherwise, and nothing stays open.
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { expect } from 'chai';
import { HealthClient, HealthService } from '../../gen/grpc/health/v1/health.js';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { GrpcChannel, type GrpcChannelOptions } from '../../src/contract/channel.js';
import { ContractFault } from '../../src/contract/fault.js';
import { HealthService as Health } from '../../src/contract/health.js';
import { type Clock, systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { Scope } from '../../src/kernel/scope.js';
import { FakeClock } from '../support/fake-clock.js';
import { testAuthority } from '../support/throwaway-certificates.js';
import { Edge, testPki } from './edge.js';
import { faultOf } from './expect-fault.js';

async function healthEdge(): Promise<Edge> {
  const edge = await Edge.make();
  new Health().addTo(edge.listener);
  await edge.listener.start();
  return edge;
}

const check = (channel: GrpcChannel) => channel.unary(HealthService.check, { service: '' });

/** Something that listens on the loopback and is closed with everything it accepted. */
async function listening<S extends Server | HttpServer>(scope: Scope, server: S): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket.on('close', () => sockets.delete(socket)).on('error', () => {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}

async function strange(scope: Scope, port: number, more: Partial<GrpcChannelOptions> = {}, clock: Clock = systemClock) {
  const { authority } = await testPki();
  const options = { address: `127.0.0.1:${port}`, tls: { ca: authority.ca }, ...more };
  return scope.own(new GrpcChannel(options, { clock, log: silentLogger }));
}

describe('a channel', () => {
  it('serves generated clients too', async () => {
    await using edge = await healthEdge();
    const client = edge.channel().client(HealthClient);
    const status = await new Promise((resolve, reject) => {
      client.check({ service: '' }, (error, response) => (error ? reject(error) : resolve(response.status)));
    });
    expect(status).to.equal(1);
  });

  it('says that nobody listens', async () => {
    await using scope = new Scope();
    const fault = await faultOf(check(await strange(scope, 1)));
    expect(fault.code).to.equal('contract.unavailable');
    expect(fault.message).to.contain('127.0.0.1:1').and.contain('ECONNREFUSED');
    expect(fault.advice).to.contain('running');
    expect(fault.permanent).to.equal(false);
  });

  it('says that the server is not one of this mesh', async () => {
    await using edge = await healthEdge();
    const { ca } = await testAuthority('another CA');
    const fault = await faultOf(check(edge.channel(undefined, { tls: { ca } })));
    expect(fault.code).to.equal('contract.untrusted-peer');
    expect(fault.message).to.contain('not a member of this mesh');
    expect(fault.advice).to.contain('firewall');
  });

  it('says that the certificate is over, or for somebody else', async () => {
    const { authority } = await testPki();
    const expired = await authority.issue('server', { expired: true });
    const other = await authority.issue('server', { ip: ['127.0.0.9'], dns: ['elsewhere.example'] });
    for (const [identity, words] of [
      [expired, 'not valid now'],
      [other, 'another one than was meant'],
    ] as const) {
      await using edge = await Edge.make({ cert: identity.cert, key: identity.key });
      await edge.listener.start();
      const fault = await faultOf(check(edge.channel()));
      expect(fault.code).to.equal('contract.untrusted-peer');
      expect(fault.message).to.contain(words);
    }
  });

  it('asks the given check instead of comparing names, and repeats its reason', async () => {
    await using edge = await healthEdge();
    const { ca } = edge.pki.authority;
    const seen: string[] = [];
    const accept = edge.channel(undefined, {
      tls: {
        ca,
        checkServerIdentity: (host, { raw }) => {
          seen.push(`${host} ${raw.equals(edge.pki.server.der)}`);
          return undefined;
        },
      },
    });
    await check(accept);
    expect(seen).to.deep.equal(['127.0.0.1 true']);
    const checkServerIdentity = () => new Error('this is a connector of another customer');
    const fault = await faultOf(check(edge.channel(undefined, { tls: { ca, checkServerIdentity } })));
    expect(fault.code).to.equal('contract.untrusted-peer');
    expect(fault.message).to.contain('of another customer');
  });

  it('says that no TLS, or no gRPC, is spoken there', async () => {
    await using scope = new Scope();
    const chatty = await listening(
      scope,
      createServer((socket) => socket.end('220 mail.example ESMTP\r\n')),
    );
    expect((await faultOf(check(await strange(scope, chatty)))).message).to.contain('no TLS with');
    const { server } = await testPki();
    const web = await listening(
      scope,
      createTlsServer({ key: server.key, cert: server.cert }, () => {}),
    );
    expect((await faultOf(check(await strange(scope, web)))).message).to.contain('does not speak gRPC');
  });

  it('gives up a server that takes the connection and says nothing, and tries again', async () => {
    await using edge = await healthEdge();
    await using scope = new Scope();
    const clock = new FakeClock();
    let swallow = true;
    const gate = createServer((socket) => {
      if (swallow) return void socket.resume();
      const onward = connect(edge.port, '127.0.0.1');
      socket.pipe(onward).pipe(socket);
      onward.on('error', () => {});
      socket.on('close', () => onward.destroy());
    });
    const channel = await strange(scope, await listening(scope, gate), {}, clock);
    const failing = faultOf(check(channel));
    await clock.untilArmed();
    await clock.advance(seconds(19));
    expect(channel.connected).to.equal(false);
    await clock.advance(seconds(1));
    const fault = await failing;
    expect(fault.code).to.equal('contract.unavailable');
    expect(fault.message).to.contain('said nothing useful');
    expect(clock.armed).to.equal(0);
    swallow = false;
    const again = await strange(scope, (gate.address() as AddressInfo).port, {}, clock);
    await check(again);
    expect(again.connected).to.equal(true);
    await clock.advance(seconds(30));
    expect(again.connected).to.equal(true);
  });

  it('gives up a server that finishes TLS and never sends its SETTINGS', async () => {
    await using scope = new Scope();
    const clock = new FakeClock();
    const { server } = await testPki();
    let secured: () => void = () => {};
    const handshake = new Promise<void>((resolve) => {
      secured = resolve;
    });
    const mute = createTlsServer({ key: server.key, cert: server.cert, ALPNProtocols: ['h2'] }, (socket) => {
      socket.on('error', () => {}).resume();
      socket.once('data', secured);
    });
    const channel = await strange(scope, await listening(scope, mute), {}, clock);
    const failing = faultOf(check(channel));
    await handshake;
    await clock.advance(seconds(20));
    expect((await failing).message).to.contain('said nothing useful');
  });

  it('uses new certificates from the next connection on', async () => {
    await using edge = await Edge.make();
    edge.listener.add(LinkServiceService, { link: async () => {} });
    await edge.listener.start();
    const channel = edge.channel('connector');
    const link = () => channel.byteStream(LinkServiceService.link).closed;
    expect((await link())?.code).to.equal('contract.denied');
    channel.setTls({ ca: edge.pki.authority.ca, cert: edge.pki.hub.cert, key: edge.pki.hub.key });
    expect((await link())?.code).to.equal('contract.denied');
    const next = edge.channel('connector');
    next.setTls({ ca: edge.pki.authority.ca, cert: edge.pki.hub.cert, key: edge.pki.hub.key });
    expect(await next.byteStream(LinkServiceService.link).closed).to.equal(undefined);
  });

  it('ends its calls and its connection when it stops', async () => {
    await using edge = await Edge.make();
    const ended = new Promise<void>((resolve) => {
      edge.listener.add(LinkServiceService, {
        link: async (stream, { signal }) => {
          signal.addEventListener('abort', () => resolve());
          stream.write(Buffer.from('ready'));
          await stream.closed;
        },
      });
    });
    await edge.listener.start();
    const channel = edge.channel('hub');
    const stream = channel.byteStream(LinkServiceService.link);
    for await (const _ of stream) break;
    await Promise.all([channel.stop(), channel.stop()]);
    expect((await stream.closed)?.code).to.equal('contract.cancelled');
    await ended;
    while (edge.listener.counters.open > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(channel.connected).to.equal(false);
    expect((await faultOf(check(channel))).code).to.equal('contract.cancelled');
  });

  it('refuses addresses and proxies that are none, without repeating a password', () => {
    const make = (more: Partial<GrpcChannelOptions>) => () =>
      new GrpcChannel({ address: 'a:1', tls: { ca: '' }, ...more }, { clock: systemClock, log: silentLogger });
    expect(make({ address: 'cloud.example' })).to.throw(ContractFault, 'host:port');
    expect(make({ address: '::1:443' })).to.throw(ContractFault, 'host:port');
    expect(make({ proxy: 'socks5://u:hunter2@p:1' })).to.throw(ContractFault, /^(?!.*hunter2).*socks5/);
  });
});

describe('a proxy', () => {
  interface Proxy {
    readonly port: number;
    readonly requests: { readonly target: string | undefined; readonly authorization: string | undefined }[];
  }

  async function proxy(scope: Scope, answer: (socket: Socket, target: string) => void): Promise<Proxy> {
    const requests: Proxy['requests'] = [];
    const server = createHttpServer().on('connect', (request, socket: Socket) => {
      requests.push({ target: request.url, authorization: request.headers['proxy-authorization'] });
      socket.on('error', () => {});
      answer(socket, request.url ?? '');
    });
    return { port: await listening(scope, server), requests };
  }

  const tunnel = (socket: Socket, target: string) => {
    const onward = connect(Number(target.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  };

  it('is passed through, with credentials, and TLS is checked end to end', async () => {
    await using edge = await healthEdge();
    await using scope = new Scope();
    const { port, requests } = await proxy(scope, tunnel);
    const channel = edge.channel(undefined, { proxy: `http://jo%40x:s%3Acret@127.0.0.1:${port}` });
    await check(channel);
    const authorization = `Basic ${Buffer.from('jo@x:s:cret').toString('base64')}`;
    expect(requests).to.deep.equal([{ target: `127.0.0.1:${edge.port}`, authorization }]);
    const { ca } = await testAuthority('another CA');
    const distrustful = edge.channel(undefined, { proxy: `http://127.0.0.1:${port}`, tls: { ca } });
    expect((await faultOf(check(distrustful))).code).to.equal('contract.untrusted-peer');
    expect(requests[1]?.authorization).to.equal(undefined);
    await channel.stop();
    await distrustful.stop();
  });

  it('that refuses is quoted', async () => {
    await using scope = new Scope();
    for (const [answer, words] of [
      ['HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', 'wants other credentials'],
      ['HTTP/1.1 403 Not this port\r\n\r\n', '403 Not this port'],
      ['what?\r\n\r\n', 'not HTTP'],
      ['', 'closed the connection'],
    ] as const) {
      const { port } = await proxy(scope, (socket) => socket.end(answer));
      const fault = await faultOf(check(await strange(scope, 4_433, { proxy: `http://127.0.0.1:${port}` })));
      expect(fault.code).to.equal('contract.proxy-refused');
      expect(fault.message).to.contain(words).and.contain(`127.0.0.1:${port}`);
    }
  });

  it('of the environment is not used', async () => {
    await using edge = await healthEdge();
    await using scope = new Scope();
    const { port, requests } = await proxy(scope, tunnel);
    const before = process.env.https_proxy;
    process.env.https_proxy = `http://127.0.0.1:${port}`;
    try {
      await check(edge.channel());
    } finally {
      if (before === undefined) delete process.env.https_proxy;
      else process.env.https_proxy = before;
    }
    expect(requests).to.be.empty;
  });
});
