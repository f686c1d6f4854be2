// The roles as services, inside this process: start, signals, and the exit codes of what can stand in their way.
import { access, mkdir, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { runRole } from '../../../src/cli/run-role.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { Scope } from '../../../src/kernel/scope.js';
import { type Outcome, occ, temporaryFolder, testTerminal } from './support.js';

const QUIET = ['--log-level', 'silent'];

describe('roles', () => {
  let scope: Scope;
  let folder: string;
  beforeEach(async () => {
    scope = new Scope();
    folder = await temporaryFolder(scope);
  });
  afterEach(() => scope.stop());

  const real = () => testTerminal({ clock: systemClock, random: systemRandom, cwd: folder });

  it('runs a cloud until a signal; operators reach it with the client.yaml that it writes', async () => {
    const terminal = real();
    const running = occ(
      ['cloud', '--data', 'cloud', '--listen', '127.0.0.1:0', '--name', '127.0.0.1', ...QUIET],
      terminal,
    );
    const client = join(folder, 'cloud', 'client.yaml');
    const operator = async (...args: string[]): Promise<Outcome> =>
      occ([...args, '--client', 'cloud/client.yaml', '--json'], real());
    // client.yaml is written last: once a command gets an answer, the cloud is up.
    await eventually(() =>
      access(client).then(
        () => true,
        () => false,
      ),
    );
    const made = await operator('customers', 'create', 'Acme');
    expect(made.code, made.err).to.equal(0);
    expect(JSON.parse((await operator('customers', 'list')).out)).to.have.length(1);

    const second = await occ(['cloud', '--data', 'cloud', '--listen', '127.0.0.1:0', ...QUIET], real());
    expect(second.code).to.equal(5);
    expect(second.err).to.contain('in use by another process');

    terminal.interrupt();
    expect(await running).to.deep.equal({ code: 0, out: '', err: '' });
    const gone = await operator('customers', 'list');
    expect(gone.code).to.equal(7);
    expect(gone.err).to.contain('Check that the other side is running');
  });

  it('runs a cloud that tells of alarms as its flags allow', async () => {
    const hook = createHttpServer((_, response) => response.writeHead(200).end());
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise<void>((resolve) => hook.close(() => resolve())));
    const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
    const operator = async (...args: string[]): Promise<Outcome> =>
      occ([...args, '--client', 'cloud/client.yaml', '--json'], real());
    for (const [flags, code] of [
      [['--private-webhooks', '--smtp-host', '127.0.0.1', '--smtp-from', 'a@b.example', '--smtp-tls', 'none'], 0],
      [[], 2],
    ] as const) {
      const terminal = real();
      const running = occ(
        ['cloud', '--data', 'cloud', '--listen', '127.0.0.1:0', '--name', '127.0.0.1', ...flags, ...QUIET],
        terminal,
      );
      // Of the one before, until the new one has written its own.
      await eventually(async () => (await operator('customers', 'list')).code === 0);
      const name = `hook ${code}`;
      const added = await operator('channels', 'add-webhook', name, url, '--all-customers');
      expect(added.code, added.err).to.equal(code);
      const mailed = await operator('channels', 'add-email', 'mail', 'x@y.example', '--all-customers');
      expect(mailed.code, mailed.err).to.equal(code === 0 ? 0 : 10);
      if (code === 0) expect((await operator('channels', 'test', name)).code).to.equal(0);
      else expect((await operator('channels', 'test', 'hook 0')).err).to.contain('must begin with https');
      const audit = JSON.parse((await operator('audit')).out) as { audit: { method: string } }[];
      expect(audit.map((one) => one.audit.method)).to.include('/occmesh.events.v1.NotificationService/TestChannel');
      terminal.interrupt();
      expect((await running).code).to.equal(0);
    }
    const { mode } = await stat(join(folder, 'cloud', 'notify.key'));
    expect(mode & 0o777).to.equal(0o600);
  });

  it('ends with 4 when the port is taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const { code, err } = await occ(['cloud', '--data', 'c', '--listen', `127.0.0.1:${port}`, ...QUIET], real());
    expect(code).to.equal(4);
    expect(err).to.contain(`another program listens on 127.0.0.1:${port}`).and.to.contain('--listen');
  });

  it('ends with 4 when the port for metrics is taken, before anything else', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const { port } = server.address() as AddressInfo;
    await writeFile(join(folder, 'role.yaml'), `metricsPort: ${port}\n`);
    for (const role of ['cloud', 'hub', 'connector']) {
      const { code, err } = await occ([role, '--data', role, '--config', 'role.yaml', ...QUIET], real());
      expect(code, role).to.equal(4);
      expect(err).to.contain(`the port for metrics, 127.0.0.1:${port}, is in use`).and.to.contain('--metrics-port');
    }
  });

  it('ends with 3 for a name that no mesh can have', async () => {
    const { code, err } = await occ(['cloud', '--data', 'c', '--mesh', 'My Mesh', ...QUIET], real());
    expect(code).to.equal(3);
    expect(err).to.contain('lower-case letters');
  });

  for (const role of ['hub', 'connector']) {
    it(`ends with 6 when a ${role} is no member and has no token`, async () => {
      const { code, err } = await occ([role, '--data', 'm', ...QUIET], real());
      expect(code).to.equal(6);
      expect(err).to.contain('not a member of any mesh yet').and.to.contain('--token-file');
    });
  }

  it('does not wait for a start that hangs when a signal comes', async () => {
    const terminal = testTerminal();
    const running = runRole(terminal, silentLogger, () => new Promise(() => {}));
    terminal.interrupt();
    const outcome = await running.then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(outcome).to.equal(terminal.interrupted.reason);
  });

  it('stops in reverse order after a signal', async () => {
    const terminal = testTerminal();
    const stopped: string[] = [];
    const running = runRole(terminal, silentLogger, async (inner) => {
      for (const name of ['first', 'second']) inner.own({ stop: async () => void stopped.push(name) });
    });
    terminal.interrupt();
    await running;
    expect(stopped).to.deep.equal(['second', 'first']);
  });

  describe('reset-identity', () => {
    const KEYS = ['identity.key', 'sealing.key', 'identity.crt', 'ca.crt', 'machine.json'];
    const there = (path: string) =>
      access(join(folder, path)).then(
        () => true,
        () => false,
      );

    async function membership(directory: string): Promise<void> {
      await mkdir(join(folder, directory), { recursive: true });
      for (const name of [...KEYS, 'other']) await writeFile(join(folder, directory, name), 'x');
    }

    it('asks first, then forgets who the machine is and nothing else', async () => {
      await membership('h');
      const words = ['hub', 'reset-identity', '--data', 'h'];
      const unasked = await occ(words, real());
      expect(unasked.code).to.equal(10);
      expect(unasked.err).to.contain('nobody is there to be asked');
      expect((await occ(words, { ...real(), ask: async () => 'no' })).code).to.equal(10);
      expect(await there('h/identity.key')).to.equal(true);
      let asked = '';
      const ask = async (question: string) => {
        asked = question;
        return 'yes';
      };
      expect((await occ(words, { ...real(), ask })).code).to.equal(0);
      expect(asked).to.contain('will be deleted');
      for (const name of KEYS) expect(await there(`h/${name}`), name).to.equal(false);
      expect(await there('h/other')).to.equal(true);
    });

    it("forgets both identities of a connector's machine", async () => {
      await membership('c/connector');
      await membership('c/hub');
      expect((await occ(['hub', 'reset-identity', '--data', 'c', '--yes'], real())).code).to.equal(0);
      expect(await there('c/connector/machine.json')).to.equal(false);
      expect(await there('c/hub/machine.json')).to.equal(false);
      expect((await occ(['hub', 'reset-identity', '--data', 'c', '--yes'], real())).code).to.equal(9);
      expect((await occ(['hub', 'reset-identity'], real())).code).to.equal(2);
    });
  });
});

/** Asks again and again; the test's own time limit ends it. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}
