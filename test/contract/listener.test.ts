// The port towards strangers: what is not gRPC gets an answer or goes, nobody is hurt by anybody else, and the end is
// orderly.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type ClientHttp2Stream, connect as h2Connect } from 'node:http2';
import { get } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { expect } from 'chai';
import { EnrollmentServiceService } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { ContractFault } from '../../src/contract/fault.js';
import type { ListenerModules, ListenerOptions } from '../../src/contract/listener.js';
import { milliseconds, seconds } from '../../src/kernel/duration.js';
import { FakeClock } from '../support/fake-clock.js';
import { testAuthority } from '../support/throwaway-certificates.js';
import { Edge } from './edge.js';
import { faultOf } from './expect-fault.js';

const ENROL = 'enrollment.v1.EnrollmentService/Enrol';
const FIRST_FREE_PORT = '/proc/sys/net/ipv4/ip_unprivileged_port_start';
const EMPTY = Buffer.alloc(0);

/** Serves echoes: a stream and a request. */
async function echoEdge(options: Partial<ListenerOptions> = {}, modules: Partial<ListenerModules> = {}): Promise<Edge> {
  const edge = await Edge.make(options, modules);
  edge.listener.add(LinkServiceService, {
    link: async (stream) => {
      for await (const message of stream) stream.write(message);
    },
  });
  const enrol = async ({ ciphertext }: { ciphertext: Uint8Array }) => ({ ciphertext });
  edge.listener.add(EnrollmentServiceService, { enrol, renew: enrol });
  await edge.listener.start();
  return edge;
}

const enrol = (edge: Edge, bytes = 3, channel = edge.channel()) =>
  channel.unary(EnrollmentServiceService.enrol, { encapsulatedKey: EMPTY, ciphertext: Buffer.alloc(bytes, 7) });

const closed = (socket: Socket) => {
  socket.on('error', () => {});
  socket.resume();
  return socket.closed ? Promise.resolve() : once(socket, 'close');
};

function webRequest(edge: Edge): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: edge.port, ca: edge.pki.authority.ca, agent: false };
    get(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    }).on('error', reject);
  });
}

describe('the gRPC port', () => {
  it('tells a browser what it is', async () => {
    await using edge = await echoEdge();
    const { status, body } = await webRequest(edge);
    expect(status).to.equal(426);
    expect(body).to.contain('This port speaks gRPC');
    expect(edge.listener.counters.http1).to.equal(1);
  });

  it('drops garbage, and nobody else notices', async () => {
    await using edge = await echoEdge();
    const channel = edge.channel('hub');
    const stream = channel.byteStream(LinkServiceService.link);
    const answers = stream[Symbol.asyncIterator]();
    stream.write(Buffer.from('before'));
    await answers.next();

    const rubbish = connect(edge.port, '127.0.0.1');
    rubbish.write(Buffer.alloc(5_000, 0xa5));
    await closed(rubbish);
    const plain = connect(edge.port, '127.0.0.1');
    plain.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await closed(plain);
    const inside = tlsConnect({ port: edge.port, host: '127.0.0.1', ca: edge.pki.authority.ca, ALPNProtocols: ['h2'] });
    inside.write(Buffer.alloc(5_000, 0xa5));
    await closed(inside);

    stream.write(Buffer.from('after'));
    expect((await answers.next()).value?.toString()).to.equal('after');
    expect(edge.listener.counters.failedHandshakes).to.equal(2);
    expect(edge.listener.counters.open).to.equal(1);
  });

  it('refuses old TLS and protocols that it does not speak', async () => {
    await using edge = await echoEdge();
    const to = { port: edge.port, host: '127.0.0.1', ca: edge.pki.authority.ca };
    for (const options of [
      { ...to, maxVersion: 'TLSv1.2' as const },
      { ...to, ALPNProtocols: ['spdy/3'] },
    ]) {
      const [error] = await once(tlsConnect(options), 'error');
      expect(error)
        .to.be.an('error')
        .with.property('code')
        .that.match(/^ERR_SSL/);
    }
  });

  it('closes a connection that says nothing after TLS', async () => {
    const clock = new FakeClock();
    await using edge = await echoEdge({ limits: { handshake: seconds(10) } }, { clock });
    const socket = tlsConnect({ port: edge.port, host: '127.0.0.1', ca: edge.pki.authority.ca, ALPNProtocols: ['h2'] });
    const gone = closed(socket);
    await clock.untilArmed();
    await clock.advance(seconds(9));
    expect(edge.listener.counters.silent).to.equal(0);
    await clock.advance(seconds(1));
    await gone;
    expect(edge.listener.counters.silent).to.equal(1);
    expect(clock.armed).to.equal(0);
  });

  it('keeps no timer for a connection that speaks', async () => {
    const clock = new FakeClock();
    await using edge = await echoEdge({}, { clock });
    await enrol(edge);
    expect(clock.armed).to.equal(0);
    await clock.advance(seconds(60));
    expect(edge.listener.counters).to.include({ silent: 0, open: 1 });
  });

  it('limits connections in all, and from one address', async () => {
    for (const limits of [{ connections: 2 }, { connectionsPerAddress: 2 }]) {
      await using edge = await echoEdge({ limits });
      const channels = [edge.channel(), edge.channel()];
      for (const channel of channels) await enrol(edge, 1, channel);
      expect((await faultOf(enrol(edge))).code).to.equal('contract.unavailable');
      expect(edge.listener.counters.refused).to.be.greaterThan(0);
      await channels[0]?.stop();
      while (edge.listener.counters.open > 1) await new Promise((resolve) => setImmediate(resolve));
      await enrol(edge);
    }
  });

  it('takes a message of the limit, and fails only the call of a larger one', async () => {
    const messageBytes = 100_000;
    await using edge = await echoEdge({ limits: { messageBytes } });
    const channel = edge.channel('hub');
    const stream = channel.byteStream(LinkServiceService.link);
    const answers = stream[Symbol.asyncIterator]();
    stream.write(Buffer.alloc(messageBytes));
    expect((await answers.next()).value).to.have.length(messageBytes);
    const fault = await faultOf(enrol(edge, messageBytes + 1, channel));
    expect(fault.code).to.equal('contract.exhausted');
    stream.write(Buffer.from('still here'));
    expect((await answers.next()).value?.toString()).to.equal('still here');
  });

  describe('of a message that is not whole yet', () => {
    /** A call by hand, which says that a message of `size` bytes will come. */
    async function begin(edge: Edge, size: number, who?: 'hub', path = ENROL, more = {}) {
      const own = who ? { cert: edge.pki.hub.cert, key: edge.pki.hub.key } : {};
      const session = h2Connect(`https://127.0.0.1:${edge.port}`, {
        ...{ ca: edge.pki.authority.ca, checkServerIdentity: () => undefined },
        ...own,
      });
      edge.scope.defer(async () => session.destroy());
      const head = Buffer.alloc(5);
      head.writeUInt32BE(size, 1);
      const call = session.request(
        { ':method': 'POST', ':path': `/occmesh.${path}`, 'content-type': 'application/grpc', te: 'trailers', ...more },
        { endStream: false },
      );
      call.on('error', () => {});
      const answer = once(call, 'response').then(([headers]) => decodeURIComponent(String(headers['grpc-message'])));
      const over = once(call, 'close');
      call.write(head);
      return { call, answer, over };
    }
    const write = (call: ClientHttp2Stream, bytes: number) =>
      new Promise<void>((resolve) => call.write(Buffer.alloc(bytes), () => resolve()));

    it('keeps no more of a stranger than one has to say', async () => {
      await using edge = await echoEdge({ limits: { strangerMessageBytes: 40_000 } });
      expect((await enrol(edge, 39_000)).ciphertext).to.have.length(39_000);
      const { call, answer, over } = await begin(edge, 1_000_000);
      for (let i = 0; i < 4; i++) await write(call, 16_000);
      expect(await answer).to.contain('40000 bytes');
      await over;
      // Known machines have more to say (control).
      const hub = await begin(edge, 1_000_000, 'hub', 'link.v1.LinkService/Link');
      for (let i = 0; i < 20; i++) await write(hub.call, 16_000);
      expect((await enrol(edge)).ciphertext).to.have.length(3);
      expect(hub.call.closed).to.equal(false);
    });

    it('takes none that is compressed: 2 KiB of it may be 2 MiB', async () => {
      await using edge = await echoEdge();
      for (const [encoding, expected] of [
        ['gzip', 'not compressed here'],
        ['deflate', 'not compressed here'],
        ['identity', 'undefined'],
      ]) {
        const { call, answer } = await begin(edge, 0, undefined, ENROL, { 'grpc-encoding': encoding });
        call.resume().end();
        expect(await answer, encoding).to.contain(expected);
      }
    });

    it('keeps it for a while only', async () => {
      const clock = new FakeClock();
      await using edge = await echoEdge({ limits: { request: seconds(7) } }, { clock });
      const { call, answer, over } = await begin(edge, 1_000);
      await write(call, 999);
      const hub = await begin(edge, 1_000, 'hub', 'link.v1.LinkService/Link');
      await write(hub.call, 999);
      expect((await enrol(edge)).ciphertext).to.have.length(3);
      await clock.advance(seconds(6));
      expect(call.closed).to.equal(false);
      await clock.advance(seconds(1));
      expect(await answer).to.contain('in time');
      await over;
      // A session says nothing for as long as it likes (control).
      expect((await enrol(edge)).ciphertext).to.have.length(3);
      expect(hub.call.closed).to.equal(false);
    });

    it('takes no crumbs: each takes as much memory as a bite', async () => {
      await using edge = await echoEdge({ limits: { messageBytes: 100_000 } });
      const hub = await begin(edge, 99_000, 'hub', 'link.v1.LinkService/Link');
      for (let i = 0; i < 1_000 && !hub.call.closed; i++) await write(hub.call, 1);
      await hub.over;
      expect(await hub.answer).to.contain('too many pieces');
      // Many small messages are none of that (control).
      const stream = edge.channel('hub').byteStream(LinkServiceService.link);
      const answers = stream[Symbol.asyncIterator]();
      for (let i = 0; i < 1_000; i++) {
        stream.write(Buffer.of(i & 0xff));
        expect((await answers.next()).value).to.have.length(1);
      }
    });
  });

  it('says who has the port', async () => {
    await using first = await echoEdge();
    await using second = await Edge.make({ port: first.port });
    const fault = await faultOf(second.listener.start());
    expect(fault.code).to.equal('contract.port-in-use');
    expect(fault.message).to.contain(`127.0.0.1:${first.port}`);
    expect(fault.advice).to.contain('--listen');
  });

  it('says how to be allowed port 443', async function () {
    const unprivileged = process.platform === 'linux' && Number(await readFile(FIRST_FREE_PORT, 'utf8')) > 443;
    if (!unprivileged) return this.skip();
    await using edge = await Edge.make({ port: 443 });
    const user = process.geteuid?.();
    if (user === 0) process.seteuid?.('nobody');
    try {
      const fault = await faultOf(edge.listener.start());
      expect(fault.code).to.equal('contract.port-forbidden');
      expect(fault.message).to.contain('127.0.0.1:443');
      expect(fault.advice).to.contain('--listen').and.contain('CAP_NET_BIND_SERVICE');
    } finally {
      if (user === 0) process.seteuid?.(0);
    }
  });

  it('says that an address is not its own', async () => {
    await using edge = await Edge.make({ host: '192.0.2.1' });
    expect((await faultOf(edge.listener.start())).code).to.equal('contract.cannot-listen');
  });

  it('refuses certificates that cannot be used', async () => {
    const other = await (await testAuthority()).issue('other');
    let thrown: unknown;
    try {
      await Edge.make({ key: other.key });
    } catch (fault) {
      thrown = fault;
    }
    expect(thrown).to.be.instanceOf(ContractFault).with.property('code', 'contract.bad-certificate');
  });

  it('takes a new certificate while connections live on', async () => {
    await using edge = await echoEdge();
    const before = edge.channel();
    await enrol(edge, 1, before);
    const successor = await testAuthority('successor');
    const { cert, key } = await successor.issue('server');
    edge.listener.setCertificate({ cert, key, ca: successor.ca });
    await enrol(edge, 1, before);
    expect((await faultOf(enrol(edge))).code).to.equal('contract.untrusted-peer');
    await enrol(edge, 1, edge.channel(undefined, { tls: { ca: successor.ca } }));
  });

  it('lets calls finish when it stops, but not for ever', async () => {
    const clock = new FakeClock();
    await using edge = await Edge.make({ grace: seconds(5) }, { clock });
    let finish: () => void = () => {};
    const held: AbortSignal[] = [];
    const enrol = (_: unknown, { signal }: { signal: AbortSignal }) => {
      held.push(signal);
      return new Promise<{ ciphertext: Uint8Array }>((resolve) => {
        finish = () => resolve({ ciphertext: EMPTY });
      });
    };
    edge.listener.add(EnrollmentServiceService, { enrol, renew: enrol });
    await edge.listener.start();
    const channel = edge.channel();
    const call = () => channel.unary(EnrollmentServiceService.enrol, { encapsulatedKey: EMPTY, ciphertext: EMPTY });
    const started = async (count: number) => {
      while (held.length < count) await new Promise((resolve) => setImmediate(resolve));
    };
    const quick = call();
    await started(1);
    const finishQuick = finish;
    const stuck = faultOf(call());
    await started(2);
    const stopping = edge.listener.stop();
    finishQuick();
    expect(await quick).to.have.property('ciphertext');
    await clock.advance(seconds(5));
    await stopping;
    expect((await stuck).code).to.equal('contract.unavailable');
    expect(held.map((signal) => signal.aborted)).to.deep.equal([false, true]);
    expect(edge.listener.counters.open).to.equal(0);
    expect(clock.armed).to.equal(0);
  });

  it('can be stopped twice, before it was started, and with strangers connected', async () => {
    const edge = await Edge.make();
    await Promise.all([edge.listener.stop(), edge.listener.stop()]);
    const running = await echoEdge({ grace: milliseconds(10) });
    const silent = connect(running.port, '127.0.0.1');
    const gone = closed(silent);
    await once(silent, 'connect');
    await enrol(running);
    await running.listener.stop();
    await gone;
    expect(running.listener.counters.open).to.equal(0);
    await running.scope.stop();
  });
});
