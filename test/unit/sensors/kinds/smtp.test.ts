// Kind `smtp` against a real server of npm's.
import { expect } from 'chai';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { smtp } from '../../../../src/sensors/kinds/smtp.js';
import { makeCertificate, measure, metricOf, secretsOf } from '../support.js';
import { tcpServer } from './servers.js';
import { PASSWORD, serviceSuite } from './service-suite.js';

interface Seen {
  readonly logins: { user: unknown; password: unknown; secure: boolean }[];
  mails: number;
}

async function mailServer(options: SMTPServerOptions) {
  const seen: Seen = { logins: [], mails: 0 };
  const server = new SMTPServer({
    logger: false,
    disableReverseLookup: true,
    onAuth({ username, password }, { secure }, callback) {
      seen.logins.push({ user: username, password, secure });
      const right = username === 'anna' && password === PASSWORD;
      // As rude as can be: what it was told is in its answer.
      if (right) callback(null, { user: username });
      else callback(new Error(`no ${password} for ${username}`));
    },
    onMailFrom(_address, _session, callback) {
      seen.mails++;
      callback();
    },
    ...options,
  });
  server.on('error', () => undefined);
  const listener = server.listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const address = listener.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    seen,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

const ask = (settings: object, password = PASSWORD) =>
  measure(
    smtp,
    { host: 'localhost', user: 'anna', ...settings },
    new AbortController().signal,
    secretsOf({ password }),
  );

describe('sensors/kinds: smtp', () => {
  serviceSuite({
    kind: smtp,
    ways: [{ user: 'anna' }, { user: 'anna', tls: 'implicit' }, { tls: 'off' }],
    greeting: '220 mail.example ESMTP\r\n',
    changes: [
      ...[{ user: 'bert' }, { tls: 'off' }, { tls: 'implicit' }, { verifyTls: false }, { serverName: 'b.example' }],
      { ca: '-----BEGIN CERTIFICATE-----' },
    ],
  });

  for (const tls of ['starttls', 'implicit'] as const) {
    it(`logs in encrypted (${tls}), and sends no mail`, async () => {
      const { cert, key } = await makeCertificate(30);
      await using server = await mailServer({ cert, key, secure: tls === 'implicit' });
      const place = { port: server.port, tls, ca: cert };
      const measured = await ask(place);
      expect(measured, JSON.stringify(measured)).to.not.have.property('state');
      expect(metricOf(measured, 'login')).to.be.at.least(metricOf(measured, 'connect'));
      expect(server.seen).to.deep.equal({ logins: [{ user: 'anna', password: PASSWORD, secure: true }], mails: 0 });
    });

    it(`verifies who it is before it says who we are (${tls})`, async () => {
      const { cert, key } = await makeCertificate(30);
      await using server = await mailServer({ cert, key, secure: tls === 'implicit' });
      const place = { port: server.port, tls };
      expect((await ask(place)).message).to.equal('the certificate is self-signed');
      const name = 'the certificate is not made out to this name';
      expect((await ask({ ...place, ca: cert, host: '127.0.0.1' })).message).to.equal(name);
      expect((await ask({ ...place, ca: cert, serverName: 'b.example' })).message).to.equal(name);
      expect(server.seen.logins).to.deep.equal([]);
      const settings = { ...place, ca: cert, host: '127.0.0.1', serverName: 'localhost' };
      expect(await ask(settings)).to.not.have.property('state');
      expect(await ask({ ...place, verifyTls: false })).to.not.have.property('state');
    });
  }

  it('a refused login is critical, and nothing of the password is said', async () => {
    const { cert, key } = await makeCertificate(30);
    await using server = await mailServer({ cert, key });
    const refused = await ask({ port: server.port, ca: cert }, 'wrong-one');
    expect(refused).to.include({ state: State.CRITICAL, message: 'the login is refused (535)' });
  });

  it('the password goes to nobody who offers no encryption, unless it was said', async () => {
    await using server = await mailServer({ disabledCommands: ['STARTTLS'], allowInsecureAuth: true });
    expect(await ask({ port: server.port })).to.have.property('state', State.CRITICAL);
    expect(server.seen.logins).to.deep.equal([]);
    expect(await ask({ port: server.port, tls: 'off' })).to.not.have.property('state');
    expect(server.seen.logins).to.have.length(1);
  });

  it('without a user, the server only has to answer', async () => {
    await using server = await mailServer({ disabledCommands: ['STARTTLS', 'AUTH'] });
    expect(await measure(smtp, { host: 'localhost', port: server.port, tls: 'off' })).to.not.have.property('state');
  });

  it('a server that offers no login refuses one', async () => {
    await using server = await mailServer({ disabledCommands: ['STARTTLS', 'AUTH'] });
    expect(await ask({ port: server.port, tls: 'off' })).to.have.property('state', State.CRITICAL);
  });

  it('a login without a password is unknown', async () => {
    const fault = await measure(smtp, { host: 'localhost', user: 'anna' }).catch((thrown) => thrown);
    expect(fault).to.include({ code: 'sensor.secret', message: 'no password has been entered for this target' });
  });

  it('a server that is busy says so', async () => {
    await using busy = await tcpServer((socket) => socket.end('421 4.3.2 too busy\r\n'));
    expect((await ask({ port: busy.port })).message).to.match(/421/);
  });
});
