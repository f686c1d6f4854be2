// The operators' commands against a real mesh: what they print for programs and for people, and that a cloud ended by
// Ctrl-C leaves nothing behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { freePort } from '../../src/demo/free-port.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { PROGRAM, until } from '../../src/demo/processes.js';
import { minutes, seconds } from '../../src/kernel/duration.js';
import { clock, endMesh, PATIENCE, startMesh, untilPath, untilReports } from '../support/mesh-site.js';
import { occ } from '../support/occ.js';
import { Plugins } from '../unit/sensors/kinds/plugins.js';

type Plain = Readonly<Record<string, unknown>>;

describe('commands', () => {
  let mesh: LocalMesh;
  let hub: HubProcess;
  let plugins: Plugins;
  let server: Server;
  let client: readonly string[];

  before(async () => {
    plugins = await Plugins.make();
    server = createServer((socket) => socket.end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    mesh = await startMesh({ fallbackAfter: minutes(10) });
    client = ['--client', join(mesh.options.directory, 'cloud', 'client.yaml')];
    await mesh.startConnector();
    hub = await mesh.addHub('shop-1', [
      ...['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`],
      ...['--exec-directory', plugins.directory, '--watch-directory', plugins.root, '--ssh-command', 'disk=df -h /'],
    ]);
    await mesh.quicken(hub.machineId, seconds(1));
    await untilPath(mesh, hub, 'connector');
    await untilReports(mesh, hub.machineId);
  });
  after(async () => {
    await endMesh(mesh);
    await plugins?.[Symbol.asyncDispose]();
    server?.close();
  });

  const json = async <T = readonly Plain[]>(...args: readonly string[]): Promise<T> => {
    const { code, stdout, stderr } = await occ(...args, '--json', ...client);
    expect({ code, stderr }, args.join(' ')).to.deep.equal({ code: 0, stderr: '' });
    return JSON.parse(stdout) as T;
  };
  const text = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await occ(...args, ...client);
    expect(code, stderr).to.equal(0);
    return stdout;
  };

  it('status shows customer, connector, hub and sensors', async () => {
    type Level = { readonly name: string; readonly hubs: readonly Level[]; readonly sensors: readonly Level[] };
    const customers = await json<{ name: string; connectors: readonly Level[] }[]>('status');
    const shop = customers[0]?.connectors[0]?.hubs.find(({ name }) => name === 'shop-1');
    expect(customers.map(({ name }) => name)).to.deep.equal(['demo']);
    expect(shop?.sensors.map(({ name }) => name)).to.include('CPU');
    const tree = await text('status', '--all');
    expect(tree).to.match(/demo[\s\S]*shop-1[\s\S]*CPU/);
  });

  it('machines list tells role, state and path of each', async () => {
    const machines = await json('machines', 'list');
    expect(machines).to.have.length(3);
    const shop = machines.find(({ name }) => name === 'shop-1');
    expect(shop).to.include({ id: hub.machineId, role: 'hub', state: 'online', path: 'connector' });
    expect(shop?.connectorId).to.equal(mesh.connectorId);
    expect(await text('machines', 'list')).to.match(/shop-1 +hub +demo +online +via /);
  });

  it('readings latest and range tell what was measured', async () => {
    const latest = await json('readings', 'latest', '--machine', 'shop-1');
    expect(latest.map(({ machineId }) => machineId)).to.satisfy((ids: string[]) =>
      ids.every((id) => id === hub.machineId),
    );
    expect(latest.length).to.be.greaterThan(3);
    await until(
      async () => (await json('readings', 'range', '--sensor', 'shop-1/cpu')).length >= 3,
      PATIENCE,
      clock,
      () => 'too few readings',
    );
    const range = await json('readings', 'range', '--sensor', 'shop-1/cpu', '--from', '-5m', '--limit', '3');
    expect(range).to.have.length(3);
    const times = range.map(({ takenAt }) => Date.parse(String(takenAt)));
    expect(times).to.deep.equal(times.toSorted((a, b) => a - b));
  });

  it('readings watch prints one object per line until Ctrl-C', async () => {
    const watch = spawn(process.execPath, [PROGRAM, 'readings', 'watch', '--json', ...client], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    watch.stdout.setEncoding('utf8').on('data', (more: string) => {
      out += more;
    });
    const whole = () => out.split('\n').slice(0, -1);
    await until(
      async () => whole().length >= 5,
      PATIENCE,
      clock,
      () => `only ${out}`,
    );
    const ended = once(watch, 'exit');
    watch.kill('SIGINT');
    expect(await ended).to.deep.equal([0, null]);
    for (const line of whole()) expect(JSON.parse(line)).to.include.keys('machineId', 'sensor', 'takenAt', 'state');
  });

  it('a tcp sensor is added, run, changed and removed', async () => {
    const { port } = server.address() as { port: number };
    const [host, number] = [`host=127.0.0.1`, `port=${port}`];
    const added = await json<Plain>(
      'sensors',
      'add',
      'shop-1',
      'tcp',
      '--name',
      'door',
      ...['--set', host],
      '--set',
      number,
    );
    expect(added).to.include({ name: 'door', kind: 'tcp', machineId: hub.machineId });
    await configured();
    expect(await json<Plain>('sensors', 'run', 'shop-1/door')).to.include({ outcome: 'done', state: 'OK' });
    server.close();
    await once(server, 'close');
    expect(await json<Plain>('sensors', 'run', 'door')).to.include({ outcome: 'done', state: 'CRITICAL' });
    expect(await json<Plain>('sensors', 'change', 'door', '--pause')).to.include({ paused: true });
    await json<Plain>('sensors', 'remove', 'door');
    const names = (await json('sensors', 'list', '--machine', 'shop-1')).map(({ name }) => name);
    expect(names).to.include('CPU').and.not.include('door');
  });

  it('an exec sensor runs a plugin of an allowed directory, and nothing else', async () => {
    await plugins.script('check_shop', 'echo "shop is half full | visitors=21;;;0;42"; exit 1');
    const add = (name: string, program: string) =>
      json<Plain>('sensors', 'add', 'shop-1', 'exec', '--name', name, '--set', `program=${program}`);
    await add('visitors', 'check_shop');
    await add('shell', '/bin/sh');
    await configured();
    const result = await json<Plain>('sensors', 'run', 'visitors');
    expect(result).to.include({ outcome: 'done', state: 'WARNING', message: 'shop is half full' });
    const refused = await json<Plain>('sensors', 'run', 'shell');
    expect(refused).to.include({ outcome: 'done', state: 'UNKNOWN' });
    expect(refused.message).to.match(/not below the directories that are allowed/);
    await until(
      async () =>
        (await json('readings', 'latest', '--machine', 'shop-1')).some((r) => JSON.stringify(r).includes('visitors')),
      PATIENCE,
      clock,
      () => 'its reading does not arrive',
    );
  });

  it('file and ssh sensors do what the hub was told to allow, and nothing else', async () => {
    const add = (name: string, kind: string, ...settings: readonly string[]) =>
      json<Plain>('sensors', 'add', 'shop-1', kind, '--name', name, ...settings.flatMap((set) => ['--set', set]));
    await plugins.script('stock', 'exit 0');
    await add('stock', 'file', `path=${plugins.directory}/stock`);
    await add('passwords', 'file', 'path=/etc/passwd');
    const place = ['host=127.0.0.1', 'user=anna', `fingerprint=SHA256:${'A'.repeat(43)}`];
    await add('space', 'ssh', ...place, 'command=disk');
    await add('other', 'ssh', ...place, 'command=other');
    await configured();
    const said = async (name: string) => (await json<Plain>('sensors', 'run', name)).message;
    expect(await json<Plain>('sensors', 'run', 'stock')).to.include({ state: 'OK', message: '' });
    expect(await said('passwords')).to.match(/not below the directories that may be watched/);
    // Allowed, but there is no secret yet: it is not even tried.
    expect(await said('space')).to.equal('neither a key nor a password has been entered for this target');
    expect(await said('other')).to.equal('no command "other" is allowed on this machine (its --ssh-command)');
  });

  it('tokens list shows them without their secrets', async () => {
    const made = await json<Plain>('tokens', 'create', '--role', 'hub', '--customer', 'demo', '--name', 'for the shop');
    const tokens = await json('tokens', 'list');
    expect(tokens.find(({ name }) => name === 'for the shop')).to.include({ role: 'hub', uses: 1, used: 0 });
    expect(JSON.stringify(tokens)).to.not.include(String(made.text).slice(10, 60));
    expect(String(made.text)).to.match(/^occ1\./);
  });

  it('what does not exist, and who may not, is told with an exit code of its own', async () => {
    const unknown = await occ('machines', 'rename', 'nobody', 'somebody', ...client);
    expect(unknown.code).to.equal(9);
    expect(unknown.stderr).to.match(/nobody/);
    const folder = join(mesh.options.directory, 'reader');
    await mkdir(folder);
    const made = ['--caller', 'reader', '--customer', 'demo', '--out', join(folder, 'reader.token')];
    await json<Plain>('tokens', 'create-api', ...made);
    const lines = [`cloud: 127.0.0.1:${mesh.cloudPort}`, 'ca: ../cloud/ca/ca.crt', 'tokenFile: reader.token'];
    await writeFile(join(folder, 'client.yaml'), lines.join('\n'));
    const reader = ['--client', join(folder, 'client.yaml')];
    expect((await occ('readings', 'latest', ...reader)).code, 'a reader may read').to.equal(0);
    const denied = await occ('customers', 'create', 'another', ...reader);
    expect(denied.code).to.equal(8);
    expect(denied.stderr).to.match(/not for readers/);
  });

  /** The hub runs what the cloud wants of it. */
  const configured = () =>
    until(
      async () => {
        const { configVersion, runningVersion } = await mesh.machine(hub.machineId);
        return configVersion === runningVersion;
      },
      PATIENCE,
      clock,
      () => 'the hub does not take its configuration',
    );

  it('a cloud that is ended by Ctrl-C leaves nothing behind', async () => {
    const port = await freePort();
    const data = join(mesh.options.directory, 'short-lived');
    const start = () => {
      const child = spawn(process.execPath, [PROGRAM, 'cloud', '--data', data, '--listen', `127.0.0.1:${port}`], {
        stdio: ['ignore', 'ignore', 'pipe'],
        // A group of its own, as a shell makes one.
        detached: true,
      });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (more: string) => {
        said += more;
      });
      return { child, said: () => said };
    };
    // Twice on the same port and directory: the first has let go of both.
    for (let n = 0; n < 2; n++) {
      const { child, said } = start();
      await until(
        async () => /cloud is up/.test(said()),
        PATIENCE,
        clock,
        () => `it does not come up: ${said()}`,
      );
      const ended = once(child, 'close');
      const { pid } = child;
      if (pid === undefined) throw new Error('unreachable');
      process.kill(-pid, 'SIGINT');
      expect(await ended).to.deep.equal([0, null]);
      expect(said()).to.match(/stopped/);
      // Nobody of its group is left.
      expect(() => process.kill(-pid, 0)).to.throw('ESRCH');
    }
  });
});
