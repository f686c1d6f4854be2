// Kind `ssh`: logs in to a host whose key is pinned, and runs at most one command there, which the owner of this machine
// has allowed by name. What it says is read like the words of a monitoring plugin.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Client, ClientChannel, ConnectConfig } from 'ssh2';
import { ssh as description, type SshSettings } from '../catalogue/ssh.js';
import { SensorFault } from '../fault.js';
import type { Measurement, MetricValue, Secrets, SensorKind, SensorModules } from '../kind.js';
import { critical } from '../network-verdict.js';
import type { ProgramResult } from '../program.js';
import { secretText } from '../secret-text.js';
import { type ServiceSocket, visit } from '../service-socket.js';
import { isDear } from '../ssh-key.js';
import { toMeasurement } from './exec.js';

const MAX_OUTPUT = 65_536;
/** A little that is compressed can be very much. */
const algorithms: NonNullable<ConnectConfig['algorithms']> = { compress: ['none'] };

const fingerprintOf = (key: Buffer) => `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;

type Login = Pick<ConnectConfig, 'password' | 'privateKey' | 'passphrase' | 'authHandler'>;

async function loginOf(secrets: Secrets, { utils }: typeof import('ssh2')): Promise<Login> {
  const [key, password] = [await secretText(secrets, 'key'), await secretText(secrets, 'password')];
  if (key !== undefined) {
    const passphrase = await secretText(secrets, 'passphrase');
    if (isDear(key)) {
      throw new SensorFault('sensor.secret', 'the key takes too long to be opened with its passphrase', {
        permanent: true,
        advice: 'Change it by ssh-keygen -p -a 16.',
      });
    }
    if (utils.parseKey(key, passphrase) instanceof Error) {
      // The library's words quote parts of it.
      throw new SensorFault('sensor.secret', 'the key cannot be read, or not with this passphrase', {
        permanent: true,
      });
    }
    return { privateKey: key, authHandler: ['publickey'], ...(passphrase === undefined ? {} : { passphrase }) };
  }
  if (password !== undefined) return { password, authHandler: ['password'] };
  throw new SensorFault('sensor.secret', 'neither a key nor a password has been entered for this target', {
    permanent: true,
  });
}

/** Faults: sensor.refused. */
function commandOf({ command }: SshSettings, { ssh }: SensorModules): string | undefined {
  if (command === undefined) return undefined;
  if (Object.hasOwn(ssh.commands, command)) return ssh.commands[command];
  throw new SensorFault('sensor.refused', `no command "${command}" is allowed on this machine (its --ssh-command)`, {
    permanent: true,
    advice: 'Allow it in the configuration of this hub.',
  });
}

/** Resolves once logged in. */
function logIn(client: Client, config: ConnectConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('ready', resolve).on('error', reject);
    client.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
    client.connect(config);
  });
}

function run(client: Client, command: string): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    client.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
    client.exec(command, (error, channel) => {
      if (error) reject(error);
      else listen(channel, resolve);
    });
  });
}

/** From the moment that it is open: all of its answer may have come with the same packet. */
function listen(channel: ClientChannel, done: (result: ProgramResult) => void): void {
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  let size = 0;
  let code: number | undefined;
  const keep = (chunks: Buffer[]) => (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_OUTPUT) chunks.push(chunk);
    else end();
  };
  const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString('utf8');
  const end = () => done({ code, stdout: text(stdout), stderr: text(stderr), overrun: size > MAX_OUTPUT });
  channel.on('data', keep(stdout)).stderr.on('data', keep(stderr));
  channel.on('exit', (status: number | null) => {
    code = status ?? undefined;
  });
  channel.once('close', end);
  // It has nothing to read.
  channel.end();
}

async function talk(
  { Client }: typeof import('ssh2'),
  settings: SshSettings,
  login: Login,
  command: string | undefined,
  socket: ServiceSocket,
  since: (name: string) => MetricValue,
): Promise<Measurement> {
  const values = [since('connect')];
  const client = new Client();
  let shown = '';
  const hostVerifier = (key: Buffer) => {
    shown = fingerprintOf(key);
    const [a, b] = [Buffer.from(shown), Buffer.from(settings.fingerprint)];
    return a.length === b.length && timingSafeEqual(a, b);
  };
  try {
    // Neither the environment's agent nor any configuration of SSH is asked.
    await logIn(client, { sock: socket, username: settings.user, ...login, hostVerifier, readyTimeout: 0, algorithms });
    values.push(since('login'));
    if (command === undefined) return { values };
    const said = toMeasurement(await run(client, command));
    return { ...said, values: [...values, ...said.values] };
  } catch (thrown) {
    if (shown !== '' && shown !== settings.fingerprint) {
      return critical(`the host key is ${shown}, not the one that is expected`, values);
    }
    const { level } = thrown as { level?: string };
    if (level === 'client-authentication') return critical('the login is refused', values);
    throw thrown;
  } finally {
    client.end();
  }
}

export const ssh: SensorKind<SshSettings> = {
  ...description,
  create: (settings, modules) => ({
    async measure(signal, secrets) {
      signal.throwIfAborted();
      const command = commandOf(settings, modules);
      // Before there is a connection: once there is one, somebody has to listen to it.
      const library = (await import('ssh2')).default;
      const login = await loginOf(secrets, library);
      return await visit(settings, modules.clock, signal, (socket, since) =>
        talk(library, settings, login, command, socket, since),
      );
    },
  }),
};
