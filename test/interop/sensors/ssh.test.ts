// Kind `ssh` against Debian's OpenSSH server.
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { ssh } from '../../../src/sensors/kinds/ssh.js';
import { needs, program, run } from '../../support/programs.js';
import { closedPort } from '../../unit/sensors/kinds/servers.js';
import { metricOf, secretsOf, sensorOf } from '../../unit/sensors/support.js';
import { Daemon } from './daemon.js';

const SSHD = '/usr/sbin/sshd';
const KEYGEN = ['/usr/bin/ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f'];

describe('OpenSSH', () => {
  let daemon: Daemon | undefined;
  let [port, fingerprint] = [0, ''];
  const keys = { user: '', other: '' };
  const commands = { greet: 'echo "OK - hello $((6 * 7)) | answer=42"', fail: 'echo "it is broken"; exit 2' };
  const ask = (settings: object, key = keys.user) =>
    sensorOf(
      ssh,
      { host: '127.0.0.1', port, user: userInfo().username, fingerprint, ...settings },
      { ssh: { commands } },
    ).measure(new AbortController().signal, secretsOf({ key }));

  before(async function () {
    await needs(this, [program(SSHD, 'openssh-server'), program('ssh-keygen', 'openssh-client')]);
    port = await closedPort();
    const isRoot = process.geteuid?.() === 0;
    daemon = await Daemon.start({
      // Only root can become somebody, and everybody is themselves already.
      asRoot: true,
      prepare: (at) => [
        ...['host', 'user', 'other'].map((name) => [...KEYGEN, at(name)]),
        ...(isRoot ? [['/bin/mkdir', '-p', '/run/sshd']] : []),
      ],
      command: (at) => [
        ...[SSHD, '-D', '-e', '-f', '/dev/null', '-p', String(port), '-h', at('host')],
        ...['-o', 'ListenAddress=127.0.0.1', '-o', 'StrictModes=no', '-o', 'PermitRootLogin=prohibit-password'],
        ...['-o', `AuthorizedKeysFile=${at('user.pub')}`, '-o', 'PasswordAuthentication=no', '-o', 'PidFile=none'],
      ],
      ready: port,
    });
    for (const name of ['user', 'other'] as const) keys[name] = await readFile(`${daemon.folder}/${name}`, 'utf8');
    const shown = await run('ssh-keygen', ['-lf', `${daemon.folder}/host.pub`]);
    fingerprint = shown.stdout.split(' ')[1] ?? '';
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  it('takes a login, of the host that ssh-keygen means', async () => {
    const measured = await ask({});
    expect(measured, JSON.stringify(measured)).to.not.have.property('state');
    expect(metricOf(measured, 'login')).to.be.at.least(metricOf(measured, 'connect'));
    const other = `SHA256:${'A'.repeat(43)}`;
    expect((await ask({ fingerprint: other })).message).to.equal(
      `the host key is ${fingerprint}, not the one that is expected`,
    );
  });

  it('refuses another key', async () => {
    const refused = await ask({}, keys.other);
    expect(refused).to.include({ state: State.CRITICAL, message: 'the login is refused' });
  });

  it('runs a command', async () => {
    const measured = await ask({ command: 'greet' });
    expect(measured).to.include({ state: State.OK, message: 'OK - hello 42' });
    expect(metricOf(measured, 'answer')).to.equal(42);
    expect(await ask({ command: 'fail' })).to.include({ state: State.CRITICAL, message: 'it is broken' });
  });
});
