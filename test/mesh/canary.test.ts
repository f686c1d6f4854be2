// Canary passwords, entered in every way there is and used by sensors, are then looked for wherever they must not be: files
// of cloud, connector and hub (stores, logs, write-ahead logs), both hops without their TLS, heaps and memory. A text
// that is no secret, planted in each of these places, is found: the search does see them.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Reading, SecretState, type Sensor, State } from '../../src/client/index.js';
import type { ConnectorProcess, HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { PROGRAM, type RoleProcess, until } from '../../src/demo/processes.js';
import { seconds } from '../../src/kernel/duration.js';
import { scanMemory } from '../support/memory-scan.js';
import { clock, endMesh, PATIENCE, startMesh, untilPath } from '../support/mesh-site.js';
import { program, run } from '../support/programs.js';
import { TlsTap } from '../support/tls-tap.js';

/** How they are entered. */
const WAYS = ['piped', 'typed', 'sealed by a service', 'sealed by the cloud', 'refused'] as const;
type Way = (typeof WAYS)[number];

const newMark = (what: string) => `${what}-${randomBytes(8).toString('hex')}`;
const CONTROL = newMark('control');
const CANARIES = new Map<Way, string>(WAYS.map((way) => [way, newMark('canary')]));
const canary = (way: Way) => CANARIES.get(way) ?? '';

/** The forms in which a text may stand somewhere. */
function formsOf(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  // In base64 it looks different by where it begins; the inner characters are always the same three texts.
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, -4),
  );
  return [bytes, Buffer.from(text, 'utf16le'), ...[bytes.toString('hex'), ...shifted].map((form) => Buffer.from(form))];
}

const NEEDLES: ReadonlyMap<string, readonly Buffer[]> = new Map(
  [...CANARIES, ['control', CONTROL] as const].map(([name, text]) => [name, formsOf(text)]),
);

const foundIn = (bytes: Buffer): string[] =>
  [...NEEDLES].filter(([, forms]) => forms.some((form) => bytes.includes(form))).map(([name]) => name);

/** What is found in the files below a folder: by needle, where. */
async function searchFiles(
  folder: string,
  wanted: (path: string) => boolean = () => true,
): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || !wanted(path)) continue;
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    for (const name of foundIn(content)) found.set(name, [...(found.get(name) ?? []), path]);
  }
  return found;
}

/** What the sensors log in to. It is rude enough to repeat what it was told. */
class Door {
  readonly seen = new Set<string>();
  private constructor(readonly server: Server) {}

  static async open(): Promise<Door> {
    const server = createServer();
    const door = new Door(server);
    server.on('request', (request: IncomingMessage, response) => {
      const { authorization = '' } = request.headers;
      const [scheme, value = ''] = authorization.split(' ');
      const told = scheme === 'Basic' ? Buffer.from(value, 'base64').toString() : value;
      for (const [way, text] of CANARIES) if (told.includes(text)) door.seen.add(way);
      response.writeHead(told === '' ? 401 : 200, { 'x-echo': value }).end(`you said ${told}`);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return door;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

describe('canary secrets', function () {
  this.timeout(60_000);
  let mesh: LocalMesh;
  let door: Door;
  let trunkTap: TlsTap;
  let lanTap: TlsTap;
  let connector: ConnectorProcess;
  let hub: HubProcess;
  let folder: string;
  let diagnostics: string;
  let keyLog: string;
  const sensors = new Map<Way, Sensor>();

  before(async () => {
    door = await Door.open();
    // The folder of the mesh is made by it, so what is only for the search lies beside it.
    diagnostics = await mkdtemp(join(tmpdir(), 'canary-'));
    keyLog = join(diagnostics, 'tls-keys');
    const options = [`--tls-keylog=${keyLog}`, '--heapsnapshot-signal=SIGUSR2', `--diagnostic-dir=${diagnostics}`];
    mesh = await startMesh({ env: { NODE_OPTIONS: options.join(' ') } });
    folder = mesh.options.directory;
    trunkTap = await TlsTap.start(mesh.cloudPort);
    connector = await mesh.addConnector('branch', { cloudPort: trunkTap.port });
    lanTap = await TlsTap.start(connector.port);
    hub = await mesh.addHub('hub', ['--no-multicast', '--no-direct', '--connector', `127.0.0.1:${lanTap.port}`]);
    await untilPath(mesh, hub, 'connector');
    const own = await mesh.machine(connector.machineId);
    // The connector's own hub has the planted text, too, so that it is in the connector's heap.
    for (const machineId of [hub.machineId, own.companionId]) {
      await mesh.client.sensors.createSensor({
        machineId,
        kind: 'cpu',
        name: CONTROL,
        intervalMs: 1_000,
        timeoutMs: 900,
      });
    }
  });

  after(async () => {
    await endMesh(mesh);
    await trunkTap?.[Symbol.asyncDispose]();
    await lanTap?.[Symbol.asyncDispose]();
    await door?.close();
    await rm(diagnostics, { recursive: true, force: true });
  });

  const occ = (args: readonly string[], input?: string) =>
    run(process.execPath, [PROGRAM, ...args, '--client', join(folder, 'cloud', 'client.yaml')], {
      ...(input === undefined ? {} : { input }),
    });

  async function addSensor(way: Way, auth: 'basic' | 'bearer'): Promise<Sensor> {
    const settings = { url: door.url, auth, ...(auth === 'basic' ? { user: 'monitor' } : {}) };
    const times = { intervalMs: 1_000, timeoutMs: 900 };
    const sensor = await mesh.client.sensors.createSensor({
      machineId: hub.machineId,
      kind: 'http',
      name: way,
      settings,
      ...times,
    });
    sensors.set(way, sensor);
    return sensor;
  }

  const latest = async (): Promise<Reading[]> =>
    (await mesh.client.readings.getLatest({ machineId: hub.machineId, pageSize: 1_000 })).readings;

  /** All that were entered well let their sensors in. */
  async function untilAllLogIn(since = clock.now()): Promise<void> {
    const wanted = WAYS.filter((way) => way !== 'refused');
    await until(
      async () => {
        const readings = await latest();
        return wanted.every((way) =>
          readings.some(
            ({ sensor, takenAtMs, state }) =>
              sensor === sensors.get(way)?.number && takenAtMs >= since && state === State.OK,
          ),
        );
      },
      PATIENCE,
      clock,
      async () => JSON.stringify((await latest()).map(({ sensor, state, message }) => [sensor, State[state], message])),
    );
  }

  it('are entered in every way, and used', async () => {
    const piped = await addSensor('piped', 'bearer');
    const set = ['secrets', 'set', '--sensor', piped.id, '--field', 'token'];
    expect(await occ(set, `${canary('piped')}\n`)).to.include({ code: 0 });

    const typed = await addSensor('typed', 'basic');
    const words = [PROGRAM, 'secrets', 'set', '--sensor', typed.id, '--field', 'password'];
    if (await program('script', 'bsdutils').here()) {
      const command = [process.execPath, ...words, '--client', join(folder, 'cloud', 'client.yaml')].join(' ');
      const screen = await type(command, `${canary('typed')}\r`);
      expect(screen)
        .to.match(/Who will learn it: .*user=monitor/)
        .and.match(/password.*(pending|ready)/);
      expect(foundIn(Buffer.from(screen)), 'no echo').to.deep.equal([]);
    } else expect(await occ(words.slice(1), canary('typed'))).to.include({ code: 0 });

    const { id: sensorId } = await addSensor('sealed by a service', 'bearer');
    const plaintext = Buffer.from(canary('sealed by a service'));
    const secret = await mesh.client.setSecret({ sensorId, field: 'token', plaintext });
    expect(secret.version).to.be.greaterThan(0);

    const { id } = await addSensor('sealed by the cloud', 'bearer');
    const put = (sensor: string, field: string, text: string) =>
      mesh.client.secrets
        .putSecret({ sensorId: sensor, field, secret: { $case: 'plaintext', value: Buffer.from(text) } })
        .then(
          () => 'taken',
          (thrown: Error & { code: string }) => `${thrown.code} ${thrown.message}`,
        );
    expect(await put(id, 'token', canary('sealed by the cloud'))).to.equal('taken');

    // What goes wrong says so without it.
    const refused = await addSensor('refused', 'bearer');
    for (const [sensor, field, text] of [
      [`${hub.machineId}/9999`, 'token', canary('refused')],
      [refused.id, 'passphrase', canary('refused')],
      [refused.id, 'token', canary('refused').repeat(1_000)],
    ] as const) {
      const told = await put(sensor, field, text);
      expect(told).to.match(/^contract\.(not-found|invalid) /);
      expect(foundIn(Buffer.from(told))).to.deep.equal([]);
    }
    const tooLong = await occ(
      ['secrets', 'set', '--sensor', refused.id, '--field', 'token'],
      canary('refused').repeat(999),
    );
    expect(tooLong.code).to.equal(10);
    expect(foundIn(Buffer.from(tooLong.stdout + tooLong.stderr))).to.deep.equal([]);

    await untilAllLogIn();
    expect([...door.seen].sort()).to.deep.equal(WAYS.filter((way) => way !== 'refused').sort());
  });

  it('survive a rotation of the key in whose midst the hub is killed', async () => {
    const keyFile = join(hub.directory, 'sealing.key');
    const before = await readFile(keyFile);
    await mesh.client.machines.rotateSealingKey({ id: hub.machineId });
    await hub.process.kill();
    hub.process.start();
    await until(
      async () => !(await mesh.machine(hub.machineId)).rotating && !(await readFile(keyFile)).equals(before),
      PATIENCE,
      clock,
      () => 'the key is not replaced',
    );
    await untilAllLogIn();
    const { secrets } = await mesh.client.secrets.listSecrets({ machineId: hub.machineId });
    const ready = secrets.filter(({ state }) => state === SecretState.READY);
    expect(ready).to.have.length(4);
    expect(await readdir(hub.directory)).to.not.include('sealing.next.key');
  });

  it('are in no file: stores, logs, write-ahead logs, whatever is there', async () => {
    for (const name of ['cloud', 'branch', 'hub'])
      await appendFile(join(folder, 'logs', `${name}.log`), `{"planted":"${CONTROL}"}\n`);
    await writeFile(join(hub.directory, 'log', 'planted'), CONTROL);
    const found = await searchFiles(folder);
    const places = new Set(
      (found.get('control') ?? []).map((path) =>
        path
          .slice(folder.length + 1)
          .split('/')
          .slice(0, 2)
          .join('/'),
      ),
    );
    expect([...places]).to.include.members([
      'cloud/store',
      'hub/desired-state',
      'hub/log',
      'logs/cloud.log',
      'logs/branch.log',
      'logs/hub.log',
    ]);
    found.delete('control');
    expect([...found]).to.deep.equal([]);
  });

  it('are on no hop, once its TLS is taken off', async () => {
    const keys = await readFile(keyLog, 'utf8');
    for (const [hop, tap] of [
      ['LAN', lanTap],
      ['trunk', trunkTap],
    ] as const) {
      const streams = tap.overheard(keys);
      const down = foundIn(Buffer.concat(streams.map((one) => one.down)));
      const up = foundIn(Buffer.concat(streams.map((one) => one.up)));
      expect(down, `${hop}, down`).to.deep.equal(['control']);
      expect(up, `${hop}, up`).to.deep.equal([]);
      expect(Buffer.concat(streams.map((one) => one.up)).includes('PRI * HTTP/2.0'), `${hop}: it is read`).to.equal(
        true,
      );
    }
  });

  it('are in no reading', async () => {
    const found: string[] = [];
    let readings = 0;
    for await (const page of mesh.client.readings.queryReadings({
      machineId: hub.machineId,
      untilMs: clock.now() + 60_000,
    })) {
      readings += page.readings.length;
      found.push(...foundIn(Buffer.from(JSON.stringify(page.readings))));
    }
    expect(readings).to.be.greaterThan(10);
    expect(found).to.deep.equal([]);
  });

  for (const name of ['cloud', 'connector'] as const) {
    it(`are in no heap snapshot of the ${name}`, async () => {
      const snapshot = await heapOf(name === 'cloud' ? mesh.cloud : connector.process);
      expect(foundIn(snapshot)).to.deep.equal(['control']);
    });
  }

  it('that were sealed elsewhere are nowhere in the memory of cloud and connector', async () => {
    if (process.platform !== 'linux') return;
    const inMemory = async ({ pid }: RoleProcess) => [...(await scanMemory(pid ?? 0, NEEDLES))];
    expect(await inMemory(connector.process)).to.deep.equal(['control']);
    const cloud = await inMemory(mesh.cloud);
    process.stderr.write(`      in the memory of the cloud: ${cloud.join(', ')}\n`);
    // What came in the clear has passed through buffers of TLS and HTTP/2 that are not ours to wipe.
    expect(cloud.filter((way) => way !== 'sealed by the cloud' && way !== 'refused')).to.deep.equal(['control']);
  });

  async function heapOf({ pid }: RoleProcess): Promise<Buffer> {
    process.kill(pid ?? 0, 'SIGUSR2');
    const mine = (file: string) => file.endsWith('.heapsnapshot') && file.includes(`.${pid}.`);
    let snapshot = Buffer.alloc(0);
    await until(
      async () => {
        const [file] = (await readdir(diagnostics)).filter(mine);
        snapshot = file === undefined ? snapshot : await readFile(join(diagnostics, file));
        return snapshot.subarray(-16).toString().trimEnd().endsWith('}');
      },
      seconds(40),
      clock,
      () => 'no heap snapshot',
    );
    return snapshot;
  }

  /** Runs a command on a terminal of its own, and types when it asks. */
  async function type(command: string, keys: string): Promise<string> {
    const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let screen = '';
    child.stdout.on('data', (bytes: Buffer) => {
      const asked = screen.includes('not shown');
      screen += bytes.toString();
      if (!asked && screen.includes('not shown')) child.stdin.write(keys);
    });
    await once(child, 'close');
    return screen;
  }
});
