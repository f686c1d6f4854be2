// Webhooks against real servers on loopback: what arrives and that its signature is right, what counts as accepted, what a
// hostile receiver can make of it, and the addresses that nobody is sent to.
import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { expect } from 'chai';
import { Alarm } from '../../../../gen/occmesh/events/v1/events.js';
import type { AlarmRecord } from '../../../../src/cloud/alarms/records.js';
import { ChannelKeys } from '../../../../src/cloud/notify/channel-keys.js';
import type { Message } from '../../../../src/cloud/notify/message.js';
import { isPublicAddress } from '../../../../src/cloud/notify/public-address.js';
import { type Address, type Resolve, resolveByDns, resolveBySystem } from '../../../../src/cloud/notify/resolve.js';
import { post, urlProblem, type WebhookOptions, webhookBody } from '../../../../src/cloud/notify/webhook.js';
import { systemClock } from '../../../../src/kernel/clock.js';
import { milliseconds } from '../../../../src/kernel/duration.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { Scope } from '../../../../src/kernel/scope.js';
import { testAuthority } from '../../../support/throwaway-certificates.js';
import { uuidOf } from './post-office.js';

const KEY = ChannelKeys.generate(systemRandom).of(uuidOf(3));
const ALARM: AlarmRecord = {
  ...{ v: 1, id: uuidOf(7), customerId: uuidOf(1), machineId: uuidOf(2), sensor: 4 },
  ...{ cause: 'sensor', severity: 'critical', message: 'disk “/” is full', raisedAtMs: 1_700_000_000_000 },
  ...{ changedAtMs: 1_700_000_001_000, comments: [{ by: 'me', atMs: 5, comment: 'hm' }] },
};
const notice = { v: 1, id: uuidOf(8), channelId: uuidOf(3), notice: 'raised', alarm: ALARM, dueMs: 1 } as const;
const MESSAGE: Message = { id: uuidOf(9), notices: [notice] };

interface Received {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const NAMES = { customer: () => 'Acme', machine: () => 'pc', sensor: (_: string, sensor: number) => `disk ${sensor}` };

describe('notify: webhooks', () => {
  let scope: Scope;
  let received: Received[];
  let connections: number;
  beforeEach(() => {
    scope = new Scope();
    received = [];
    connections = 0;
  });
  afterEach(() => scope.stop());

  const listen = async (server: Server | ReturnType<typeof createTcpServer>): Promise<number> => {
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      connections++;
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    return (server.address() as AddressInfo).port;
  };

  const noting =
    (answer: RequestListener): RequestListener =>
    async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { method, url, headers } = request;
      received.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      answer(request, response);
    };

  const ok: RequestListener = (_, response) => response.writeHead(204).end();
  const server = (answer: RequestListener = ok) => listen(createServer(noting(answer)));

  const send = async (
    url: string,
    options: Partial<WebhookOptions> = { private: true },
    resolve: Resolve = resolveBySystem,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<string> => {
    const modules = { clock: systemClock, resolve };
    return post(
      { url, key: KEY },
      { id: MESSAGE.id, body: webhookBody(MESSAGE, NAMES) },
      { private: false, ...options },
      modules,
      signal,
    ).then(
      () => 'accepted',
      (error: Error) => error.message,
    );
  };

  describe('what arrives', () => {
    it('is a POST whose signature holds, with the alarm as ProtoJSON', async () => {
      const port = await server();
      expect(await send(`http://127.0.0.1:${port}/hook?a=b`)).to.equal('accepted');
      const { method, url, headers, body } = received[0] as Received;
      expect({ method, url }).to.deep.equal({ method: 'POST', url: '/hook?a=b' });
      expect(headers['content-type']).to.equal('application/json');
      expect(headers['occ-delivery']).to.equal(MESSAGE.id);
      const timestamp = String(headers['occ-timestamp']);
      expect(Math.abs(Number(timestamp) - Date.now() / 1_000)).to.be.lessThan(10);
      const mac = createHmac('sha256', KEY).update(timestamp).update('.').update(body).digest('hex');
      expect(headers['occ-signature']).to.equal(`v1=${mac}`);
      const content = JSON.parse(body) as { id: string; alarms: { [field: string]: object | string }[] };
      expect(content.id).to.equal(MESSAGE.id);
      expect(content.alarms).to.have.length(1);
      const { alarm, ...rest } = content.alarms[0] ?? {};
      expect(rest).to.deep.equal({ notice: 'raised', customer: 'Acme', machine: 'pc', sensor: 'disk 4' });
      // ProtoJSON: 64-bit numbers are text, enums are names.
      expect(alarm).to.deep.include({
        id: ALARM.id,
        sensorId: `${ALARM.machineId}/4`,
        cause: 'ALARM_CAUSE_SENSOR',
        severity: 'STATE_CRITICAL',
        raisedAtMs: '1700000000000',
        message: 'disk “/” is full',
      });
      expect(Alarm.fromJSON(alarm).changedAtMs).to.equal(ALARM.changedAtMs);
    });

    it('has the same body in every repetition, and an empty list in a trial', async () => {
      expect(webhookBody(MESSAGE, NAMES)).to.equal(webhookBody({ ...MESSAGE }, NAMES));
      expect(webhookBody({ id: 'x', notices: [] }, NAMES)).to.equal('{"id":"x","alarms":[]}');
    });

    it('is signed by a key of its own for each channel, the same after a restart', () => {
      const keys = ChannelKeys.generate(systemRandom);
      const again = ChannelKeys.fromPem(keys.toPem());
      expect(again.of('a').equals(keys.of('a'))).to.equal(true);
      expect(keys.of('a').equals(keys.of('b'))).to.equal(false);
      expect(keys.of('a')).to.have.length(32);
      expect(ChannelKeys.generate(systemRandom).of('a').equals(keys.of('a'))).to.equal(false);
      expect(() => ChannelKeys.fromPem('')).to.throw('no notify key');
      expect(() => ChannelKeys.fromPem(keys.toPem().replace(/\n.{8}/, '\n'))).to.throw('no notify key');
    });
  });

  describe('what counts as accepted', () => {
    for (const status of [200, 201, 204, 299]) {
      it(`${status} does`, async () => {
        const port = await server((_, response) => response.writeHead(status).end());
        expect(await send(`http://127.0.0.1:${port}/`)).to.equal('accepted');
      });
    }

    it('an answer counts with its head: what follows, however long, is not waited for', async () => {
      const port = await server((_, response) => {
        response.writeHead(200);
        const more = () => {
          while (!response.destroyed && response.write('z'.repeat(65_536)));
        };
        response.on('drain', more);
        more();
      });
      expect(await send(`http://127.0.0.1:${port}/`)).to.equal('accepted');
    });

    for (const status of [400, 404, 500, 503]) {
      it(`${status} does not; the first line of the answer says why`, async () => {
        const port = await server((_, response) => response.writeHead(status).end('out of order\r\nsecond line'));
        expect(await send(`http://127.0.0.1:${port}/`)).to.equal(`it answered ${status}: out of order`);
      });
    }

    it('a redirect does not, and it is not followed', async () => {
      const inner = await server();
      const port = await server((_, response) =>
        response.writeHead(307, { location: `http://127.0.0.1:${inner}/secret` }).end(),
      );
      expect(await send(`http://127.0.0.1:${port}/`)).to.equal('it answered 307, and redirects are not followed');
      expect(received).to.have.length(1);
      expect(connections).to.equal(1);
    });

    it('a closed port does not', async () => {
      expect(await send('http://127.0.0.1:1/')).to.contain('ECONNREFUSED');
    });
  });

  describe('hostile receivers', () => {
    const within = milliseconds(150);

    it('that never answer, or drip, are left after the limit', async () => {
      const silent = await server(() => undefined);
      expect(await send(`http://127.0.0.1:${silent}/`, { private: true, within })).to.contain('did not accept within');
      const dripping = await server((_, response) => {
        const drip = setInterval(() => response.write('x'), 10);
        response.on('close', () => clearInterval(drip)).writeHead(500);
      });
      expect(await send(`http://127.0.0.1:${dripping}/`, { private: true, within })).to.contain('did not accept');
      const mute = await listen(createTcpServer());
      expect(await send(`http://127.0.0.1:${mute}/`, { private: true, within })).to.contain('did not accept within');
    });

    it('that answer without end are read for a kibibyte', async () => {
      let sent = 0;
      const port = await server((_, response) => {
        response.writeHead(500);
        const more = () => {
          while (sent < 200_000_000 && !response.destroyed) {
            sent += 65_536;
            if (!response.write('y'.repeat(65_536))) break;
          }
        };
        response.on('drain', more);
        more();
      });
      const told = await send(`http://127.0.0.1:${port}/`);
      expect(told).to.equal(`it answered 500: ${'y'.repeat(1_024)}`);
      expect(sent).to.be.lessThan(20_000_000);
    });

    it('that want another protocol, or speak none, are refused', async () => {
      const upgrade = await listen(
        createTcpServer((socket) => {
          socket.write('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
        }),
      );
      expect(await send(`http://127.0.0.1:${upgrade}/`)).to.contain('another protocol');
      const noise = await listen(createTcpServer((socket) => void socket.write('SSH-2.0-x\r\n')));
      expect(await send(`http://127.0.0.1:${noise}/`)).to.contain('Parse Error');
      const heads = await listen(
        createTcpServer((socket) => void socket.write(`HTTP/1.1 200 OK\r\nx: ${'z'.repeat(40_000)}\r\n\r\n`)),
      );
      expect(await send(`http://127.0.0.1:${heads}/`)).to.contain('Header overflow');
    });

    it('cannot keep one that is stopped', async () => {
      const port = await server(() => undefined);
      const abort = new AbortController();
      const sending = send(`http://127.0.0.1:${port}/`, { private: true }, resolveBySystem, abort.signal);
      while (received.length === 0) await new Promise((resolve) => setImmediate(resolve));
      abort.abort(new Error('stopped'));
      expect(await sending).to.equal('stopped');
    });

    it('cannot hold one up by a name server that never answers', async () => {
      const never: Resolve = () => new Promise(() => undefined);
      expect(await send('https://slow.example/', { within }, never)).to.contain('did not accept within');
    });
  });

  describe('TLS', () => {
    it('is verified: an unknown authority, another name, an old certificate', async () => {
      const [authority, other] = [await testAuthority(), await testAuthority('other')];
      const start = async (options: Parameters<typeof authority.issue>[1]) => {
        const { key, cert } = await authority.issue('hook', options);
        return listen(createTlsServer({ key, cert }, noting(ok)));
      };
      const [good, wrong, old] = [
        await start({}),
        await start({ dns: ['x.example'], ip: [] }),
        await start({ expired: true }),
      ];
      const options = { private: true, ca: authority.ca };
      expect(await send(`https://127.0.0.1:${good}/`, options), 'the control').to.equal('accepted');
      expect(await send(`https://127.0.0.1:${good}/`, { private: true, ca: other.ca })).to.match(/certificate|issuer/);
      expect(await send(`https://127.0.0.1:${wrong}/`, options)).to.match(/altnames/);
      expect(await send(`https://127.0.0.1:${old}/`, options)).to.match(/expired/);
      expect(received).to.have.length(1);
    });

    it('is for the name in the URL although the address was found before', async () => {
      const authority = await testAuthority();
      const { key, cert } = await authority.issue('hook', { dns: ['hook.example'], ip: [] });
      const port = await listen(createTlsServer({ key, cert }, noting(ok)));
      const found: Resolve = async () => [{ address: '127.0.0.1', family: 4 }];
      const options = { private: true, ca: authority.ca };
      expect(await send(`https://hook.example:${port}/`, options, found)).to.equal('accepted');
      expect(received[0]?.headers.host).to.equal(`hook.example:${port}`);
    });
  });

  describe('addresses', () => {
    const forbidden = [
      ...['127.0.0.1', '127.1.2.3', '0.0.0.0', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
      ...['169.254.169.254', '100.64.0.1', '192.0.0.8', '198.18.0.1', '224.0.0.1', '255.255.255.255', '240.0.0.1'],
      ...['::1', '::', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:8.8.8.8', '::127.0.0.1', 'fe80::1', 'fe80::1%eth0'],
      ...['fd00::1', 'fc00::1', 'ff02::1', '64:ff9b::7f00:1', '2002:7f00:1::1', '2001::1', '2001:db8::1', 'fec0::1'],
      ...['2606:4700::1%1', 'localhost', ''],
    ];
    for (const address of forbidden) {
      it(`${address || '(none)'} is not public`, () => expect(isPublicAddress(address)).to.equal(false));
    }
    for (const address of [
      '8.8.8.8',
      '172.32.0.1',
      '100.128.0.1',
      '192.0.1.1',
      '2606:4700:4700::1111',
      '2a00:1450::1',
    ]) {
      it(`${address} is (the control)`, () => expect(isPublicAddress(address)).to.equal(true));
    }

    /** As a URL writes them; WHATWG URLs know many more forms than one would think. */
    const hosts = [
      ...['127.0.0.1', 'localhost', '10.1.2.3', '169.254.169.254', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]'],
      ...['0x7f.1', '2130706433', '0177.0.0.1', '127.1', '0', '[::]', '[fe80::1]', '[64:ff9b::7f00:1]', '127.0.0.1.'],
    ];
    for (const host of hosts) {
      it(`https://${host}/ is not sent to`, async () => {
        const port = await listen(createTlsServer({}, noting(ok)));
        expect(await send(`https://${host}:${port}/`, {}, resolveBySystem)).to.match(/is not a public address$/);
        expect(connections).to.equal(0);
      });
    }

    it('of names count, all of them, and none is told', async () => {
      const port = await listen(createTlsServer({}, noting(ok)));
      const found: { [host: string]: Address[] } = {
        'inner.example': [{ address: '127.0.0.1', family: 4 }],
        'mixed.example': [
          { address: '8.8.8.8', family: 4 },
          { address: '10.0.0.7', family: 4 },
        ],
        'mapped.example': [{ address: '::ffff:10.0.0.7', family: 6 }],
      };
      const resolve: Resolve = async (host) => found[host] ?? [];
      for (const host of Object.keys(found)) {
        const told = await send(`https://${host}:${port}/`, {}, resolve);
        expect(told).to.equal(`${host} is not a public address`);
      }
      expect(connections).to.equal(0);
    });

    it('that were looked at are those that are connected to: a name server cannot change its mind', async () => {
      const port = await server();
      let asked = 0;
      const resolve: Resolve = async () => [{ address: asked++ === 0 ? '127.0.0.1' : '192.0.2.1', family: 4 }];
      expect(await send(`http://rebound.example:${port}/`, { private: true }, resolve)).to.equal('accepted');
      expect(asked).to.equal(1);
    });

    it('are reached in private networks where the operator allows it (the control)', async () => {
      const port = await server();
      for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]']) {
        expect(await send(`http://${host}:${port}/`, { private: true }), host).to.equal('accepted');
      }
    });

    it('are asked of DNS, which can be stopped', async () => {
      const abort = new AbortController();
      const asking = resolveByDns('nothing.invalid', abort.signal).catch((error: Error) => error.message);
      abort.abort(new Error('stopped'));
      expect(await asking).to.equal('there is no address of nothing.invalid');
      expect(await resolveByDns('nothing.invalid', abort.signal).catch((error: Error) => error.message)).to.equal(
        'stopped',
      );
    });
  });

  describe('URLs', () => {
    const cases: [url: string, allowPrivate: boolean, problem: RegExp | undefined][] = [
      ['https://hook.example/x', false, undefined],
      ['http://hook.example/x', true, undefined],
      ['http://hook.example/x', false, /https/],
      ['ftp://hook.example/x', true, /https/],
      ['file:///etc/passwd', true, /https/],
      ['hook.example', false, /not a URL/],
      ['', false, /not a URL/],
      ['https://', false, /not a URL/],
      ['https://user:secret@hook.example/', true, /password/],
      ['https://user@hook.example/', true, /password/],
      [`https://hook.example/${'x'.repeat(2_048)}`, false, /2,048/],
    ];
    for (const [url, allowPrivate, problem] of cases) {
      it(`${url.slice(0, 40) || '(none)'}${allowPrivate ? ', private ones allowed' : ''}: ${problem ?? 'good'}`, () => {
        if (problem) expect(urlProblem(url, allowPrivate)).to.match(problem);
        else expect(urlProblem(url, allowPrivate)).to.equal(undefined);
      });
    }

    it('are judged again when they are used: a cloud may have become stricter', async () => {
      const port = await server();
      expect(await send(`http://127.0.0.1:${port}/`, { private: false })).to.equal('the URL must begin with https://');
      expect(connections).to.equal(0);
    });
  });
});
