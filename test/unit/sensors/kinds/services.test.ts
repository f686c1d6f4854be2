// Kinds that watch services over the network, against real servers on loopback.
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SensorFault } from '../../../../src/sensors/fault.js';
import { certificate } from '../../../../src/sensors/kinds/certificate.js';
import { http } from '../../../../src/sensors/kinds/http.js';
import { tcp } from '../../../../src/sensors/kinds/tcp.js';
import { verdictOn } from '../../../../src/sensors/network-verdict.js';
import { makeCertificate, measure, metricOf } from '../support.js';
import { closedPort, httpServer, httpsServer, tcpServer } from './servers.js';

const host = '127.0.0.1';
const timeout = () => new SensorFault('sensor.timeout', 'timed out after 10s');

/** Measures against a server that says nothing, and ends the run as the scheduler does, once the server has seen it. */
async function silence(run: (port: number, signal: AbortSignal) => Promise<unknown>, reason: unknown) {
  const control = new AbortController();
  await using server = await tcpServer(() => control.abort(reason));
  return await run(server.port, control.signal).catch((thrown) => thrown);
}

describe('sensors/kinds: tcp', () => {
  it('measures the time to connect', async () => {
    await using server = await tcpServer(() => undefined);
    const measured = await measure(tcp, { host, port: server.port });
    expect(measured.state).to.equal(undefined);
    expect(metricOf(measured, 'connect')).to.be.within(0, 5_000);
  });

  it('says something, and finds the answer across packets', async () => {
    await using server = await tcpServer((socket) => {
      socket.on('data', (data) => {
        socket.write(`+PO`);
        setImmediate(() => socket.write(`NG ${data}`));
      });
    });
    const measured = await measure(tcp, { host, port: server.port, send: 'PING', expect: 'PONG PING' });
    expect(measured.state).to.equal(undefined);
    expect(metricOf(measured, 'answer')).to.be.at.least(metricOf(measured, 'connect'));
  });

  it('is critical when the answer is another, or without end', async () => {
    await using wrong = await tcpServer((socket) => socket.end('-ERR'));
    const missed = { state: State.CRITICAL, message: 'the expected text did not come' };
    expect(await measure(tcp, { host, port: wrong.port, expect: '+OK' })).to.include(missed);
    await using endless = await tcpServer((socket) => {
      const write = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(16_384, 'x')));
      };
      socket.on('drain', write);
      write();
    });
    expect(await measure(tcp, { host, port: endless.port, expect: '+OK' })).to.include(missed);
  });

  it('is critical when refused or when the name is unknown', async () => {
    const refused = { state: State.CRITICAL, message: 'connection refused' };
    expect(await measure(tcp, { host, port: await closedPort() })).to.deep.include(refused);
    expect(await measure(tcp, { host: 'localhost', port: await closedPort() }), 'several addresses').to.include(
      refused,
    );
    const nameless = verdictOn(
      Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }),
      new AbortController().signal,
    );
    expect(nameless).to.include({ state: State.CRITICAL, message: 'there is no host of this name' });
  });

  it('silence is a verdict; being removed is not', async () => {
    const run = (port: number, signal: AbortSignal) => measure(tcp, { host, port, expect: 'hello' }, signal);
    expect(await silence(run, timeout())).to.include({
      state: State.CRITICAL,
      message: 'no answer: timed out after 10s',
    });
    const removed = new SensorFault('sensor.stopped', 'gone');
    expect(await silence(run, removed)).to.equal(removed);
  });

  it('takes hosts only, never an option', () => {
    for (const bad of ['-oProxy', 'a b', 'a;b', '$(x)', '', 'a/b', "a'b"]) {
      expect(tcp.settings.safeParse({ host: bad, port: 1 }).success, bad).to.equal(false);
    }
    for (const good of ['a.example', '::1', 'fe80::1%eth0', '10.0.0.1', 'db_1']) {
      expect(tcp.settings.safeParse({ host: good, port: 1 }).success, good).to.equal(true);
    }
  });
});

describe('sensors/kinds: http', () => {
  const at = (server: { port: number }, path = '/') => `http://${host}:${server.port}${path}`;

  it('measures phases, status and size', async () => {
    await using server = await httpServer((_request, response) => response.end('hello world'));
    const measured = await measure(http, { url: at(server), contains: 'lo wo', matches: '^hel+o' });
    expect(measured.state).to.equal(undefined);
    expect(measured.message).to.equal(undefined);
    expect(measured.values.map(({ name }) => name)).to.deep.equal(['connect', 'first-byte', 'total', 'status', 'size']);
    expect(metricOf(measured, 'status')).to.equal(200);
    expect(metricOf(measured, 'size')).to.equal(11);
    expect(metricOf(measured, 'total')).to.be.at.least(metricOf(measured, 'first-byte'));
  });

  it('judges status and body', async () => {
    await using server = await httpServer((request, response) => {
      response.writeHead(Number(request.url?.slice(1)));
      response.end('body');
    });
    const message = async (settings: object) => (await measure(http, { url: at(server, '/200'), ...settings })).message;
    expect(await message({ url: at(server, '/503') })).to.equal('status 503');
    expect(await message({ url: at(server, '/404'), status: [404] })).to.equal(undefined);
    expect(await message({ status: [204] })).to.equal('status 200');
    expect(await message({ contains: 'other' })).to.equal('the body does not contain the expected text');
    expect(await message({ matches: '^other' })).to.equal('the body does not match the expected pattern');
  });

  it('sends what is asked for', async () => {
    let seen = '';
    await using server = await httpServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      seen = `${request.method} ${request.headers['x-key']} ${body}`;
      response.end();
    });
    await measure(http, { url: at(server), method: 'POST', headers: { 'x-key': 'k' }, body: 'data' });
    expect(seen).to.equal('POST k data');
  });

  it('follows redirects within bounds', async () => {
    await using server = await httpServer((request, response) => {
      const n = Number(request.url?.slice(1));
      if (n > 0) response.writeHead(302, { location: `/${n - 1}` });
      response.end('end');
    });
    expect(await measure(http, { url: at(server, '/5'), contains: 'end' })).to.not.have.property('state');
    const over = await measure(http, { url: at(server, '/6') });
    expect(over).to.include({ state: State.CRITICAL, message: 'more than 5 redirects' });
    const none = await measure(http, { url: at(server, '/1'), redirects: 0 });
    expect(metricOf(none, 'status')).to.equal(302);
    expect(none.state).to.equal(undefined);
  });

  it('shows headers to their own server only', async () => {
    const seen: string[] = [];
    await using other = await httpServer((request, response) => {
      seen.push(`other ${request.headers['x-key']}`);
      response.end();
    });
    await using server = await httpServer((request, response) => {
      seen.push(`own ${request.headers['x-key']}`);
      response.writeHead(302, { location: request.url === '/' ? '/again' : at(other) });
      response.end();
    });
    await measure(http, { url: at(server), headers: { 'x-key': 'k' } });
    expect(seen).to.deep.equal(['own k', 'own k', 'other undefined']);
  });

  it('follows to web addresses only', async () => {
    await using server = await httpServer((request, response) => {
      response.writeHead(301, { location: decodeURIComponent(request.url?.slice(1) ?? '') });
      response.end();
    });
    for (const target of ['file:///etc/passwd', 'gopher://x', 'http://[']) {
      const measured = await measure(http, { url: at(server, `/${encodeURIComponent(target)}`) });
      expect(measured.state, target).to.equal(State.CRITICAL);
    }
  });

  it('reads no more than it was told to', async () => {
    let closed = () => undefined as unknown;
    const done = new Promise((resolve) => (closed = () => resolve(undefined)));
    await using server = await httpServer((_request, response) => {
      const write = () => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384, 'x')));
      };
      response.on('drain', write).on('close', closed);
      write();
    });
    const measured = await measure(http, { url: at(server), maxBody: 100_000, contains: 'y' });
    await done;
    expect(metricOf(measured, 'size')).to.equal(100_000);
    expect(measured.message).to.equal('the body does not contain the expected text in the first 100000 bytes');
  });

  it('a pattern gone wild is unknown, and over soon', async () => {
    await using server = await httpServer((_request, response) => response.end(`${'a'.repeat(60)}!`));
    const fault = await measure(http, { url: at(server), matches: '^(a+)+$' }).catch((thrown) => thrown);
    expect(fault).to.be.instanceOf(SensorFault).with.property('code', 'sensor.pattern');
  });

  it('verifies TLS unless told otherwise', async () => {
    const keys = await makeCertificate(30);
    await using server = await httpsServer(keys, (_request, response) => response.end('secret'));
    const url = `https://localhost:${server.port}/`;
    expect(await measure(http, { url })).to.include({
      state: State.CRITICAL,
      message: 'the certificate is self-signed',
    });
    expect(await measure(http, { url, verifyTls: false })).to.not.have.property('state');
    const trusted = await measure(http, { url, ca: keys.cert, contains: 'secret' });
    expect(trusted.state).to.equal(undefined);
    expect(metricOf(trusted, 'tls')).to.be.at.least(metricOf(trusted, 'connect'));
  });

  it('does not follow from an encrypted to an open address', async () => {
    const keys = await makeCertificate(30);
    await using server = await httpsServer(keys, (_request, response) => {
      response.writeHead(302, { location: 'http://127.0.0.1:1/' });
      response.end();
    });
    const measured = await measure(http, { url: `https://localhost:${server.port}/`, ca: keys.cert });
    expect(measured.message).to.equal('redirects to an unencrypted address');
  });

  it('survives garbage, refusal and silence', async () => {
    await using garbage = await tcpServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n'));
    expect(await measure(http, { url: at(garbage) })).to.have.property('state', State.CRITICAL);
    const refused = await measure(http, { url: at({ port: await closedPort() }) });
    expect(refused).to.include({ state: State.CRITICAL, message: 'connection refused' });
    const run = (port: number, signal: AbortSignal) => measure(http, { url: at({ port }) }, signal);
    expect(await silence(run, timeout())).to.include({
      state: State.CRITICAL,
      message: 'no answer: timed out after 10s',
    });
  });

  it('refuses settings that would be misused', () => {
    const url = 'http://a.example/';
    const wrong = [
      { url: 'ftp://a.example/' },
      { url: 'file:///etc/passwd' },
      { url: 'http://user:secret@a.example/' },
      { url, headers: { 'x-a': 'b\r\nx-c: d' } },
      { url, headers: { 'x a': 'b' } },
      { url, headers: { 'Content-Length': '5' } },
      { url, method: 'BREW' },
      { url, matches: '(' },
      { url, redirects: 99 },
    ];
    for (const settings of wrong)
      expect(http.settings.safeParse(settings).success, JSON.stringify(settings)).to.equal(false);
    expect(http.settings.safeParse({ url }).success).to.equal(true);
  });
});

describe('sensors/kinds: certificate', () => {
  const look = async (daysLeft: number, settings: object = {}, name = 'localhost') => {
    const keys = await makeCertificate(daysLeft, name);
    await using server = await httpsServer(keys, () => undefined);
    return await measure(certificate, { host: 'localhost', port: server.port, ca: keys.cert, ...settings });
  };

  it('counts the days that are left', async () => {
    const measured = await look(12);
    expect(measured.state).to.equal(undefined);
    expect(metricOf(measured, 'days-left')).to.equal(12);
  });

  it('says what clients would say, and still counts', async () => {
    const expired = await look(-3);
    expect(expired).to.include({
      state: State.CRITICAL,
      message: 'the certificate, or one of its chain, has expired',
    });
    expect(metricOf(expired, 'days-left')).to.equal(-3);
    expect((await look(30, {}, 'other.example')).message).to.equal('the certificate is not made out to this name');
    expect((await look(30, { ca: (await makeCertificate(30)).cert })).state).to.equal(State.CRITICAL);
    expect((await look(30, { ca: undefined })).message).to.equal('the certificate is self-signed');
  });

  it('verifies the name that it was given', async () => {
    expect((await look(30, { serverName: 'other.example' }, 'other.example')).state).to.equal(undefined);
    expect((await look(30, { verify: false }, 'other.example')).state).to.equal(undefined);
  });

  it('no TLS, nobody there, silence: critical', async () => {
    await using plain = await tcpServer((socket) => socket.end('220 mail\r\n'));
    expect(await measure(certificate, { host, port: plain.port })).to.have.property('state', State.CRITICAL);
    expect(await measure(certificate, { host, port: await closedPort() })).to.include({
      message: 'connection refused',
    });
    const run = (port: number, signal: AbortSignal) => measure(certificate, { host, port }, signal);
    expect(await silence(run, timeout())).to.have.property('state', State.CRITICAL);
  });
});
