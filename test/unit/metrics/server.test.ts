// The page that Prometheus reads, over real sockets.
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { expect } from 'chai';
import { Scope } from '../../../src/kernel/scope.js';
import { MetricsFault, MetricsServer, type Page } from '../../../src/metrics/server.js';

interface Reply {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: string;
}

describe('the metrics page', () => {
  let scope: Scope;
  beforeEach(() => {
    scope = new Scope();
  });
  afterEach(() => scope.stop());

  const serve = async (page: Partial<Page> = {}): Promise<MetricsServer> => {
    const whole = { contentType: 'text/plain; version=0.0.4', text: async () => 'a 1\n', ...page };
    return scope.own(await MetricsServer.start({ host: '127.0.0.1', port: 0 }, whole));
  };

  const ask = (server: MetricsServer, path: string, method = 'GET', body = ''): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const { address: host, port } = server.address;
      const call = request({ host, port, path, method, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'], body: text }),
        );
      });
      call.on('error', reject).end(body);
    });

  it('answers GET /metrics and nothing else', async () => {
    const server = await serve();
    expect(await ask(server, '/metrics')).to.deep.equal({
      status: 200,
      type: 'text/plain; version=0.0.4',
      body: 'a 1\n',
    });
    expect((await ask(server, '/metrics?x=1')).status).to.equal(200);
    expect((await ask(server, '/metrics', 'HEAD')).body).to.equal('');
    for (const path of ['/', '/metrics/', '/metrics/../etc/passwd', '//metrics', '/METRICS', '/%6detrics']) {
      expect((await ask(server, path)).status, path).to.equal(404);
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      expect((await ask(server, '/metrics', method, 'x'.repeat(1_000))).status, method).to.equal(405);
    }
  });

  it('looks once for all who ask at the same time, and anew for the next', async () => {
    let looks = 0;
    let answer: (text: string) => void = () => undefined;
    const text = () => {
      looks += 1;
      return new Promise<string>((resolve) => {
        answer = resolve;
      });
    };
    const server = await serve({ text });
    const [first, second] = [ask(server, '/metrics'), ask(server, '/metrics')];
    // A request that needs no look comes after both: they have been taken in.
    await ask(server, '/');
    answer('b 2\n');
    expect([(await first).body, (await second).body]).to.deep.equal(['b 2\n', 'b 2\n']);
    expect(looks).to.equal(1);
    const third = ask(server, '/metrics');
    await ask(server, '/');
    answer('c 3\n');
    expect((await third).body).to.equal('c 3\n');
  });

  it('says that it failed without saying why', async () => {
    const server = await serve({ text: () => Promise.reject(new Error('a secret')) });
    const { status, body } = await ask(server, '/metrics');
    expect(status).to.equal(500);
    expect(body).not.to.contain('secret');
  });

  it('ends connections that speak no HTTP or too much of it', async () => {
    const server = await serve();
    for (const noise of ['\x16\x03\x01\x02\x00\x01', `GET /metrics HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`]) {
      const socket = connect(server.address.port, '127.0.0.1');
      let reply = '';
      socket.setEncoding('latin1').on('data', (part: string) => {
        reply += part;
      });
      socket.on('error', () => undefined);
      socket.write(noise);
      await once(socket, 'close');
      expect(reply).to.match(/^HTTP\/1\.1 4(00|31) |^$/);
    }
    expect((await ask(server, '/metrics')).status, 'still there').to.equal(200);
  });

  it('stops at once, connections that are open or not', async () => {
    const server = await serve({ text: () => new Promise(() => undefined) });
    const socket = connect(server.address.port, '127.0.0.1');
    await once(socket, 'connect');
    const pending = ask(server, '/metrics').catch((error: Error) => error);
    await ask(server, '/');
    await server.stop();
    await server.stop();
    expect(await pending).to.be.instanceOf(Error);
    socket.destroy();
  });

  it('names a port that is taken, and an address that is not of this machine', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const page = { contentType: 'text/plain', text: async () => '' };
    const failure = async (host: string) => {
      const thrown: unknown = await MetricsServer.start({ host, port }, page).catch((fault: unknown) => fault);
      if (!(thrown instanceof MetricsFault)) throw new Error(`started, or failed otherwise: ${String(thrown)}`);
      return thrown;
    };
    const inUse = await failure('127.0.0.1');
    expect(inUse.code).to.equal('metrics.port-in-use');
    expect(inUse.message).to.contain(`127.0.0.1:${port}`);
    expect(inUse.advice).to.contain('--metrics-port');
    expect((await failure('192.0.2.1')).code).to.equal('metrics.cannot-listen');
    await new Promise((resolve) => taken.close(resolve));
  });
});
