// Kind `redis` against Debian's Redis.
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { redis } from '../../../src/sensors/kinds/redis.js';
import { needs, program } from '../../support/programs.js';
import { closedPort } from '../../unit/sensors/kinds/servers.js';
import { makeCertificate, measure, metricOf, secretsOf } from '../../unit/sensors/support.js';
import { Daemon } from './daemon.js';

const REDIS = '/usr/bin/redis-server';

describe('Redis', () => {
  let daemon: Daemon | undefined;
  let [port, tlsPort, ca] = [0, 0, ''];
  const ask = (settings: object, password?: string) => {
    const place = { host: 'localhost', port: tlsPort, ca, ...settings };
    const secrets = secretsOf(password === undefined ? {} : { password });
    return measure(redis, place, new AbortController().signal, secrets);
  };

  before(async function () {
    await needs(this, [program(REDIS, 'redis-server')]);
    [port, tlsPort] = [await closedPort(), await closedPort()];
    const { cert, key } = await makeCertificate(30);
    ca = cert;
    const conf = [
      ...['bind 127.0.0.1', `port ${port}`, `tls-port ${tlsPort}`, 'tls-auth-clients no', 'save ""'],
      ...['tls-cert-file server.crt', 'tls-key-file server.key', 'tls-ca-cert-file server.crt', 'requirepass hunter2'],
      'user watcher on >secret2 +ping',
    ];
    daemon = await Daemon.start({
      files: { 'server.crt': cert, 'server.key': key, 'redis.conf': conf.join('\n') },
      command: (at) => [REDIS, at('redis.conf')],
      ready: tlsPort,
    });
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  it('logs in with TLS and without, and measures', async () => {
    for (const way of [{}, { port, tls: false }, { host: '127.0.0.1', serverName: 'localhost' }]) {
      const measured = await ask(way, 'hunter2');
      expect(measured, JSON.stringify(measured)).to.not.have.property('state');
      expect(metricOf(measured, 'memory')).to.be.above(100_000);
      expect(metricOf(measured, 'keys')).to.equal(0);
      expect(metricOf(measured, 'clients')).to.be.at.least(1);
      expect(metricOf(measured, 'answer')).to.be.at.least(metricOf(measured, 'login'));
    }
  });

  it('verifies who it is', async () => {
    expect((await ask({ ca: undefined }, 'hunter2')).message).to.equal('the certificate is self-signed');
    expect((await ask({ host: '127.0.0.1' }, 'hunter2')).message).to.equal(
      'the certificate is not made out to this name',
    );
    expect(await ask({ ca: undefined, verifyTls: false }, 'hunter2')).to.not.have.property('state');
  });

  it('a refused login is critical', async () => {
    for (const [settings, password] of [
      [{}, 'hunter3'],
      [{}, undefined],
      [{ user: 'watcher' }, 'hunter2'],
      [{ user: 'none' }, 'hunter2'],
    ] as const) {
      const refused = await ask(settings, password);
      expect(refused, JSON.stringify(refused)).to.include({ state: State.CRITICAL, message: 'the login is refused' });
    }
  });

  it('a user that may do nothing but ping is enough for a sign of life', async () => {
    const measured = await ask({ user: 'watcher' }, 'secret2');
    expect(measured).to.not.have.property('state');
    expect(measured.values.map(({ name }) => name)).to.deep.equal(['login', 'answer']);
  });
});
