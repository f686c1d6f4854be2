// Starts that cannot be: unusable configuration, a port or a data directory that somebody else has, damage. Each ends with
// its exit code and says what to do next; whoever runs already goes on. The real program.
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { freePort } from '../../src/demo/free-port.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { seconds } from '../../src/kernel/duration.js';
import { endMesh, expectExactlyOnce, startMesh, untilPath, untilReports } from '../support/mesh-site.js';
import { occ } from '../support/occ.js';

const CONFIG = 3;
const PORT = 4;
const DATA = 5;

describe('starts that cannot be', () => {
  let mesh: LocalMesh;
  let hub: HubProcess;
  let byHand: readonly string[];

  before(async () => {
    mesh = await startMesh();
    await mesh.startConnector();
    byHand = ['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`];
    hub = await mesh.addHub('hub', byHand);
    await mesh.quicken(hub.machineId, seconds(1));
    await untilPath(mesh, hub, 'connector');
  });
  after(() => endMesh(mesh));

  const file = async (name: string, text: string): Promise<string> => {
    const path = join(mesh.options.directory, name);
    await writeFile(path, text);
    return path;
  };

  it('a configuration file that is not there or cannot be read', async () => {
    const missing = await occ('hub', '--config', join(mesh.options.directory, 'nothing.yaml'));
    expect(missing.code).to.equal(CONFIG);
    expect(missing.stderr).to.match(/nothing\.yaml does not exist[\s\S]*Check the path/);
    const directory = await occ('connector', '--config', mesh.options.directory);
    expect(directory.code).to.equal(CONFIG);
    expect(directory.stderr).to.match(/is a directory/);
  });

  it('a configuration file that makes no sense: the key and the line are named', async () => {
    const wrong = await file('wrong.yaml', 'data: /tmp/x\nlisten: nowhere\nhearbeat: 5s\n');
    const outcome = await occ('cloud', '--config', wrong);
    expect(outcome.code).to.equal(CONFIG);
    expect(outcome.stderr).to.match(/line 2: "listen" is not good/);
    expect(outcome.stderr).to.match(/line 3: "hearbeat" is not a key of this file; did you mean "heartbeat"\?/);
    const broken = await occ('cloud', '--config', await file('broken.yaml', 'data: [1, 2\n'));
    expect(broken.code).to.equal(CONFIG);
    expect(broken.stderr).to.match(/broken\.yaml: line \d+/);
  });

  it('a port that is taken, at a cloud and at a connector', async () => {
    const cloud = await occ(
      ...['cloud', '--data', join(mesh.options.directory, 'second-cloud')],
      ...['--listen', `127.0.0.1:${mesh.cloudPort}`],
    );
    // Another directory with the same membership: it does not get as far as to use it.
    const copy = join(mesh.options.directory, 'copy');
    await cp(join(mesh.options.directory, 'connector', 'connector'), join(copy, 'connector'), { recursive: true });
    await cp(join(mesh.options.directory, 'connector', 'connector'), join(copy, 'hub'), { recursive: true });
    const connector = await occ(...['connector', '--data', copy], ...['--listen', `127.0.0.1:${mesh.connectorPort}`]);
    for (const { code, stderr } of [cloud, connector]) {
      expect(code).to.equal(PORT);
      expect(stderr).to.match(/another program listens on 127\.0\.0\.1:\d+[\s\S]*--listen/);
    }
  });

  it('a data directory that is in use, at every role', async () => {
    const listen = async () => ['--listen', `127.0.0.1:${await freePort()}`];
    const outcomes = [
      await occ('cloud', '--data', join(mesh.options.directory, 'cloud'), ...(await listen())),
      await occ('hub', '--data', hub.directory, ...byHand),
      await occ('connector', '--data', join(mesh.options.directory, 'connector'), ...(await listen())),
    ];
    for (const { code, stderr } of outcomes) {
      expect(stderr).to.match(/in use|another process/);
      expect(code).to.equal(DATA);
    }
  });

  it('a data directory that is a file', async () => {
    const path = await file('plain', 'text');
    const outcome = await occ('cloud', '--data', path, '--listen', '127.0.0.1:0');
    expect(outcome.stderr).to.match(/data directory .*plain cannot be used[\s\S]*--data/);
    expect(outcome.code).to.equal(DATA);
  });

  it('a membership that is damaged', async () => {
    const damaged = join(mesh.options.directory, 'damaged');
    await mkdir(damaged);
    await writeFile(join(damaged, 'machine.json'), '{ "v": 1');
    const outcome = await occ('hub', '--data', damaged, ...byHand);
    expect(outcome.code).to.equal(DATA);
    expect(outcome.stderr).to.match(/membership in .* cannot be used[\s\S]*reset-identity/);
  });

  it('a store of a cloud that is damaged', async () => {
    const data = join(mesh.options.directory, 'damaged-cloud');
    const cloud = mesh.process('damaged-cloud', ['cloud', '--data', data, '--listen', `127.0.0.1:${await freePort()}`]);
    cloud.start();
    await cloud.untilLog(/cloud is up/, seconds(20));
    await cloud.stop();
    const store = join(data, 'store');
    for (const name of await readdir(store)) {
      if (/\.(log|ldb)$|^MANIFEST/.test(name)) await writeFile(join(store, name), 'not what was written here');
    }
    const outcome = await occ(...cloud.options.args);
    expect(outcome.code).to.equal(DATA);
    expect(outcome.stderr).to.match(/occ cloud restore --from/);
  });

  it('meanwhile whoever runs has not noticed anything', async () => {
    await untilReports(mesh, hub.machineId);
    await expectExactlyOnce(mesh, [hub]);
    expect(await hub.process.log()).to.not.match(/path is lost/);
    expect(await mesh.connector.log()).to.not.match(/no trunk to the cloud/);
  });
});
