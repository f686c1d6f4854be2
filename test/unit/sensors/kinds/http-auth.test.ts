// Kind `http` with a login, against real servers: who gets the password, who never does.
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { http } from '../../../../src/sensors/kinds/http.js';
import { measure, secretsOf } from '../support.js';
import { httpServer } from './servers.js';

const SECRETS = secretsOf({ password: 'pä:ss', token: 't0k3n' });
const BASIC = `Basic ${Buffer.from('anna:pä:ss').toString('base64')}`;
const run = (settings: object, secrets = SECRETS) => measure(http, settings, new AbortController().signal, secrets);
const at = (server: { port: number }, path = '/') => `http://127.0.0.1:${server.port}${path}`;

describe('sensors/kinds: http with a login', () => {
  const guarded = (expected: string) =>
    httpServer((request, response) => {
      response.statusCode = request.headers.authorization === expected ? 200 : 401;
      response.end(`you sent ${request.headers.authorization}`);
    });

  it('logs in by basic and by bearer', async () => {
    await using basic = await guarded(BASIC);
    expect(await run({ url: at(basic), auth: 'basic', user: 'anna' })).to.not.have.property('state');
    await using bearer = await guarded('Bearer t0k3n');
    expect(await run({ url: at(bearer), auth: 'bearer' })).to.not.have.property('state');
  });

  it('a refused login is critical, and says nothing of the secret', async () => {
    await using server = await guarded(BASIC);
    const refused = { state: State.CRITICAL, message: 'the login is refused (status 401)' };
    expect(await run({ url: at(server), auth: 'basic', user: 'bert' })).to.include(refused);
    expect(await run({ url: at(server), auth: 'bearer' })).to.include(refused);
    expect(await run({ url: at(server) })).to.include({ message: 'status 401' });
  });

  it('a secret that is missing or cannot be sent is unknown', async () => {
    const message = async (settings: object, fields: Record<string, string>) =>
      (await run({ url: 'http://127.0.0.1:1/', ...settings }, secretsOf(fields)).catch((thrown) => thrown)).message;
    expect(await message({ auth: 'basic', user: 'anna' }, {})).to.equal('no password has been entered for this target');
    expect(await message({ auth: 'bearer' }, { password: 'x' })).to.equal('no token has been entered for this target');
    const smuggled = await message({ auth: 'bearer' }, { token: 'x\r\nx-evil: 1' });
    expect(smuggled).to.equal('the token has characters that no token can have');
  });

  it('no other origin is shown the secret, not even by a way through it', async () => {
    const seen: string[] = [];
    await using server = await httpServer((request, response) => {
      seen.push(`own ${request.url} ${request.headers.authorization}`);
      if (request.url === '/') response.writeHead(302, { location: '/again' });
      if (request.url === '/again') response.writeHead(307, { location: at(other) });
      response.end();
    });
    await using other = await httpServer((request, response) => {
      seen.push(`other ${request.headers.authorization}`);
      response.writeHead(302, { location: at(server, '/back') });
      response.end();
    });
    await run({ url: at(server), auth: 'bearer' });
    expect(seen).to.deep.equal([
      'own / Bearer t0k3n',
      'own /again Bearer t0k3n',
      'other undefined',
      'own /back undefined',
    ]);
  });

  it('the secret is void for whoever else could learn it', () => {
    const target = (changes: object) =>
      JSON.stringify(
        http.secrets?.target(
          http.settings.parse({ url: 'https://a.example/x', auth: 'basic', user: 'anna', ...changes }),
        ),
      );
    const own = target({});
    for (const changes of [
      { url: 'https://b.example/x' },
      { url: 'http://a.example/x' },
      { url: 'https://a.example:444/x' },
      { url: 'https://a.example/y' },
      { user: 'bert' },
      { auth: 'bearer', user: undefined },
      { verifyTls: false },
      { ca: '-----BEGIN CERTIFICATE-----' },
      { headers: { HOST: 'b.example' } },
    ]) {
      expect(target(changes), JSON.stringify(changes)).to.not.equal(own);
    }
    expect(target({ contains: 'x', headers: { 'x-a': 'b' } })).to.equal(own);
  });

  it('refuses secrets in settings, and a login that is not one', () => {
    const url = 'https://a.example/';
    for (const settings of [
      { url, headers: { Authorization: 'Basic xyz' } },
      { url, headers: { 'proxy-authorization': 'Basic xyz' } },
      { url, auth: 'basic' },
      { url, auth: 'bearer', user: 'anna' },
      { url, user: 'anna' },
      { url, auth: 'basic', user: 'a:b' },
      { url, auth: 'basic', user: 'a\nb' },
    ]) {
      expect(http.settings.safeParse(settings).success, JSON.stringify(settings)).to.equal(false);
    }
  });
});
