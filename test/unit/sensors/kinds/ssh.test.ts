// Kind `ssh` against a real server of npm's: the host is pinned, and nothing is run that is not allowed here.
import { createHash, generateKeyPairSync } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SensorFault } from '../../../../src/sensors/fault.js';
import { ssh } from '../../../../src/sensors/kinds/ssh.js';
import { metricOf, secretsOf, sensorOf } from '../support.js';
import { closedPort, tcpServer } from './servers.js';
import { PASSWORD, serviceSuite } from './service-suite.js';

const { Server, utils } = ssh2;

/** Made by OpenSSL: of those that ssh2 makes, one in some hundred cannot be read. */
function keyPair(passphrase?: string): { readonly secret: string; readonly blob: Buffer } {
  const lock = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'sec1', format: 'pem', ...lock },
  });
  const parsed = utils.parseKey(privateKey, passphrase);
  if (parsed instanceof Error) throw parsed;
  return { secret: privateKey, blob: parsed.getPublicSSH() };
}
const [hostKey, userKey, otherKey, lockedKey] = [keyPair(), keyPair(), keyPair(), keyPair('phrase-1')];

const fingerprintOf = ({ blob }: { readonly blob: Buffer }) =>
  `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
const fingerprint = fingerprintOf(hostKey);

type Run = (command: string, channel: ServerChannel) => void;

async function sshServer(run: Run = () => undefined) {
  const seen = { passwords: [] as string[], commands: [] as string[] };
  const connections = new Set<Connection>();
  const server = new Server({ hostKeys: [hostKey.secret] }, (connection) => {
    connections.add(connection);
    connection.on('error', () => undefined).on('close', () => connections.delete(connection));
    connection.on('authentication', (context) => {
      const keys = [userKey.blob, lockedKey.blob];
      if (context.method === 'password') {
        seen.passwords.push(context.password);
        if (context.username === 'anna' && context.password === PASSWORD) return context.accept();
      } else if (context.method === 'publickey' && keys.some((key) => key.equals(context.key.data))) {
        return context.accept();
      }
      return context.reject();
    });
    connection.on('session', (accept) => {
      accept().on('exec', (acceptRun, _reject, { command }) => {
        seen.commands.push(command);
        run(command, acceptRun());
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.end();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const says =
  (text: string, code = 0): Run =>
  (_, channel) => {
    channel.write(text);
    channel.exit(code);
    channel.end();
  };

const ask = (
  settings: object,
  secrets: Record<string, string> = { password: PASSWORD },
  commands: Record<string, string> = {},
  signal = new AbortController().signal,
) =>
  sensorOf(ssh, { host: '127.0.0.1', user: 'anna', fingerprint, ...settings }, { ssh: { commands } }).measure(
    signal,
    secretsOf(secrets),
  );
const fault = (...args: Parameters<typeof ask>) => ask(...args).catch((thrown) => thrown);

describe('sensors/kinds: ssh', () => {
  serviceSuite({
    kind: ssh,
    ways: [{ user: 'anna', fingerprint }],
    greeting: 'SSH-2.0-Test\r\n',
    changes: [{ user: 'bert' }, { fingerprint: fingerprintOf(otherKey) }],
  });

  it('logs in by password and by key', async () => {
    await using server = await sshServer();
    const { port } = server;
    const key = userKey.secret;
    for (const secrets of [{ password: PASSWORD }, { key }, { key: lockedKey.secret, passphrase: 'phrase-1' }]) {
      const measured = await ask({ port }, secrets);
      expect(measured, JSON.stringify(measured)).to.not.have.property('state');
      expect(measured.values.map(({ name }) => name)).to.deep.equal(['connect', 'login']);
      expect(metricOf(measured, 'login')).to.be.at.least(metricOf(measured, 'connect'));
    }
    expect(server.seen.passwords, 'a key wins').to.deep.equal([PASSWORD]);
  });

  it('a refused login is critical', async () => {
    await using server = await sshServer();
    const refused = { state: State.CRITICAL, message: 'the login is refused' };
    expect(await ask({ port: server.port }, { password: 'wrong-one' })).to.include(refused);
    expect(await ask({ port: server.port }, { key: otherKey.secret })).to.include(refused);
  });

  it('to another host nothing is said', async () => {
    await using server = await sshServer();
    const measured = await ask({ port: server.port, fingerprint: fingerprintOf(otherKey) });
    expect(measured).to.include({
      state: State.CRITICAL,
      message: `the host key is ${fingerprint}, not the one that is expected`,
    });
    expect(server.seen.passwords).to.deep.equal([]);
  });

  it('runs what is allowed here, as it is written here, and reads it like a plugin', async () => {
    await using server = await sshServer(says("DISK WARNING - 93 % | '/'=93%\n", 1));
    const measured = await ask({ port: server.port, command: 'disk' }, undefined, { disk: 'check_disk -w 10% "/"' });
    expect(server.seen.commands).to.deep.equal(['check_disk -w 10% "/"']);
    expect(measured).to.include({ state: State.WARNING, message: 'DISK WARNING - 93 %' });
    expect(metricOf(measured, '/')).to.equal(93);
    expect(metricOf(measured, 'login')).to.be.above(0);
  });

  it('runs nothing else, and does not even connect for it', async () => {
    let connections = 0;
    await using server = await tcpServer(() => connections++);
    for (const command of ['other', 'constructor', 'toString']) {
      const thrown = await fault({ port: server.port, command }, undefined, { disk: 'df' });
      expect(thrown).to.include({
        code: 'sensor.refused',
        message: `no command "${command}" is allowed on this machine (its --ssh-command)`,
      });
    }
    expect(connections).to.equal(0);
  });

  it('a command that is silent, signalled, endless or hanging is bounded', async () => {
    const run = async (program: Run, signal?: AbortSignal) => {
      await using server = await sshServer(program);
      return await ask({ port: server.port, command: 'x' }, undefined, { x: 'x' }, signal).catch((thrown) => thrown);
    };
    expect(await run(says('', 2))).to.include({ state: State.CRITICAL, message: 'the plugin says nothing' });
    const killed: Run = (_, channel) => {
      channel.exit('KILL' as never);
      channel.end();
    };
    expect((await run(killed)).message).to.equal('the plugin ended with a signal');
    const endless: Run = (_, channel) => {
      channel.on('error', () => undefined);
      const write = () => {
        while (channel.writable && channel.write(Buffer.alloc(8_192, 'x')));
      };
      channel.on('drain', write);
      write();
    };
    expect((await run(endless)).message).to.match(/more than 64 KiB/);
    const control = new AbortController();
    const reason = new SensorFault('sensor.timeout', 'timed out after 10s');
    expect(await run(() => control.abort(reason), control.signal)).to.include({
      state: State.CRITICAL,
      message: 'no answer: timed out after 10s',
    });
  });

  it('a secret that is missing or no key is unknown, and is not quoted', async () => {
    const port = await closedPort();
    const message = async (secrets: Record<string, string>) => {
      const thrown = await fault({ port }, secrets);
      expect(thrown.code).to.equal('sensor.secret');
      return thrown.message;
    };
    expect(await message({})).to.equal('neither a key nor a password has been entered for this target');
    const unreadable = 'the key cannot be read, or not with this passphrase';
    expect(await message({ key: 'hunter2' })).to.equal(unreadable);
    expect(await message({ key: lockedKey.secret, passphrase: 'phrase-2' })).to.equal(unreadable);
    expect(await message({ key: lockedKey.secret })).to.equal(unreadable);
  });

  it('a key whose passphrase would keep the hub busy is not opened; one of ssh-keygen is', async () => {
    const text = (content: string | Buffer) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(content));
      return Buffer.concat([length, Buffer.from(content)]);
    };
    const lockedBy = (rounds: number) => {
      const options = Buffer.concat([text(Buffer.alloc(16)), Buffer.alloc(4)]);
      options.writeUInt32BE(rounds, 20);
      const parts = [
        Buffer.from('openssh-key-v1\0'),
        text('aes256-ctr'),
        text('bcrypt'),
        text(options),
        Buffer.of(0, 0, 0, 1),
      ];
      const bytes = Buffer.concat([...parts, text(userKey.blob), text(Buffer.alloc(64))]).toString('base64');
      return `-----BEGIN OPENSSH PRIVATE KEY-----\n${bytes}\n-----END OPENSSH PRIVATE KEY-----`;
    };
    const port = await closedPort();
    const said = async (rounds: number) =>
      (await fault({ port }, { key: lockedBy(rounds), passphrase: 'phrase-1' })).message;
    const tooDear = 'the key takes too long to be opened with its passphrase';
    expect(await said(0xffff_ffff)).to.equal(tooDear);
    expect(await said(33)).to.equal(tooDear);
    expect(await said(24)).to.match(/cannot be read/);
  });

  it('nothing is unpacked: a server that only compresses is not spoken to', async () => {
    let heard = '';
    await using server = await tcpServer((socket) => {
      socket.on('data', (data) => {
        heard += data.toString('latin1');
        if (heard.includes('none')) socket.end();
      });
      socket.write('SSH-2.0-Test\r\n');
    });
    await ask({ port: server.port });
    expect(heard).to.include('none').and.not.include('zlib');
  });

  it('takes no host without its fingerprint, and commands by name only', () => {
    const parse = (settings: object) =>
      ssh.settings.safeParse({ host: 'a', user: 'anna', fingerprint, ...settings }).success;
    for (const settings of [
      ...[
        { fingerprint: undefined },
        { fingerprint: 'MD5:00' },
        { fingerprint: `${fingerprint}=` },
        { fingerprint: 'any' },
      ],
      ...[{ command: 'rm -rf /' }, { command: '' }, { command: '-x' }, { user: undefined }],
    ]) {
      expect(parse(settings), JSON.stringify(settings)).to.equal(false);
    }
    expect(parse({ command: 'disk' })).to.equal(true);
  });
});
