// A client in another language, on another gRPC implementation (gRPC C core, BoringSSL): Python, with stubs that
// Debian's protoc makes from our proto files.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Caller, Role } from '../../src/client/index.js';
import { DETAILS_KEY, decodeDetails } from '../../src/contract/error-details.js';
import { until } from '../../src/demo/processes.js';
import { systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { needs, program, ROOT, run, type Tool } from '../support/programs.js';
import { testAuthority } from '../support/throwaway-certificates.js';
import { type InteropMesh, startMesh } from './mesh.js';

// Debian's, which sees Debian's packages; whatever else is called python3 may not.
const PYTHON = '/usr/bin/python3';
const PLUGIN = '/usr/bin/grpc_python_plugin';
const module = (name: string, debian: string): Tool => ({
  debian,
  here: () =>
    run(PYTHON, ['-c', `import ${name}`]).then(
      ({ code }) => code === 0,
      () => false,
    ),
});
const TOOLS: readonly Tool[] = [
  program('protoc', 'protobuf-compiler'),
  program(PLUGIN, 'protobuf-compiler-grpc'),
  program('/usr/include/google/protobuf/struct.proto', 'libprotobuf-dev'),
  module('grpc', 'python3-grpcio'),
  module('google.protobuf', 'python3-protobuf'),
];

/** What client.py prints. */
interface Told<T> {
  readonly answer?: T;
  readonly code?: string;
  readonly details?: string;
  /** The google.rpc details, as Python has understood them. */
  readonly explained?: {
    readonly ErrorInfo?: { readonly reason: string; readonly domain: string };
    readonly BadRequest?: { readonly fieldViolations: readonly { readonly field: string }[] };
  };
  /** Trailers that are bytes, in base64. */
  readonly binary?: Readonly<Record<string, string>>;
}

interface PythonMachine {
  readonly id: string;
  readonly role: string;
  readonly state: string;
}

interface PythonReading {
  readonly machineId: string;
  readonly sensor: number;
  readonly state: string;
  readonly takenAtMs: string;
  readonly id: { readonly log: string };
}

async function generate(to: string): Promise<void> {
  await mkdir(to);
  const protos = join(ROOT, 'proto');
  const files = (await readdir(join(protos, 'occmesh'), { recursive: true })).filter((name) => name.endsWith('.proto'));
  const { code, stderr } = await run('protoc', [
    ...['-I', protos, `--python_out=${to}`, `--plugin=protoc-gen-grpc=${PLUGIN}`, `--grpc_out=${to}`],
    ...files.map((name) => join(protos, 'occmesh', name)),
    ...['error_details', 'status'].map((name) => join(protos, `google/rpc/${name}.proto`)),
  ]);
  expect(code, stderr).to.equal(0);
}

describe('a client in Python', function () {
  this.timeout(60_000);
  let running: InteropMesh;
  let started = false;
  let stubs = '';
  let companion = '';

  before(async function () {
    await needs(this, TOOLS);
    running = await startMesh();
    started = true;
    stubs = join(running.directory, 'stubs');
    await generate(stubs);
    const { mesh } = running;
    await mesh.startConnector();
    companion = mesh.companionId;
    await until(
      async () => (await mesh.client.readings.getLatest({ machineId: companion })).readings.length > 0,
      seconds(30),
      systemClock,
      () => 'no readings',
    );
  });
  after(async () => {
    if (started) await running[Symbol.asyncDispose]();
  });

  interface Credentials {
    readonly ca?: string;
    readonly token?: string;
  }

  async function python<T>(action: readonly string[], { ca, token }: Credentials = {}): Promise<Told<T>> {
    const client = join(import.meta.dirname, 'python/client.py');
    const how = [stubs, running.cloud, ca ?? running.caFile, token ?? running.tokenFile];
    const { code, stdout, stderr } = await run(PYTHON, [client, ...how, ...action]);
    expect(code, stderr).to.equal(0);
    return JSON.parse(stdout) as Told<T>;
  }

  const file = async (name: string, text: string): Promise<string> => {
    const path = join(running.directory, name);
    await writeFile(path, text);
    return path;
  };

  it('lists machines, page by page', async () => {
    const told = await python<{ pages: number[]; machines: PythonMachine[] }>(['machines', '1']);
    expect(told.answer?.pages, told.details).to.deep.equal([1, 1]);
    const expected = (await running.mesh.machines()).map(({ id, role }) => ({
      id,
      role: role === Role.HUB ? 'ROLE_HUB' : 'ROLE_CONNECTOR',
    }));
    expect(told.answer?.machines.map(({ id, role }) => ({ id, role }))).to.deep.equal(expected);
    expect(told.answer?.machines.find(({ role }) => role === 'ROLE_CONNECTOR')?.state).to.equal('MACHINE_STATE_ONLINE');
  });

  it('reads the latest readings', async () => {
    const { answer = [], details } = await python<PythonReading[]>(['latest', companion]);
    expect(answer, details).to.not.be.empty;
    const { readings } = await running.mesh.client.readings.getLatest({ machineId: companion });
    expect(new Set(readings.map(({ sensor }) => sensor))).to.include.all.keys(answer.map(({ sensor }) => sensor));
    for (const reading of answer) {
      expect(reading.machineId).to.equal(companion);
      expect(reading.state).to.match(/^STATE_(OK|WARNING|CRITICAL|UNKNOWN)$/);
      expect(Number(reading.takenAtMs)).to.be.within(Date.now() - 120_000, Date.now() + 5_000);
      expect(Buffer.from(reading.id.log, 'base64')).to.have.length(16);
    }
  });

  it('queries a stream, and watches one that does not end', async () => {
    const queried = await python<number>(['query', companion]);
    expect(queried.answer, queried.details).to.be.greaterThan(0);
    await running.mesh.quicken(companion, seconds(1));
    const watched = await python<number>(['watch']);
    expect(watched.answer, watched.details).to.be.greaterThan(0);
  });

  it('writes settings of any shape', async () => {
    const made = await python<{ id: string; settings: unknown }>(['create_sensor', companion, '4711']);
    expect(made.answer?.settings, made.details).to.deep.include({ host: '127.0.0.1', port: 4711 });
    const { sensors } = await running.mesh.client.sensors.listSensors({ machineId: companion });
    expect(sensors.find(({ id }) => id === made.answer?.id)?.settings).to.deep.include({ port: 4711 });
  });

  it('is told what is wrong with its token', async () => {
    const token = await file('bad.token', 'occ1-not-a-token');
    const told = await python(['machines', '10'], { token });
    expect(told.code).to.equal('UNAUTHENTICATED');
    expect(told.details).to.contain('token').and.contain('Ask an operator');
    const details = decodeDetails(Buffer.from(told.binary?.[DETAILS_KEY] ?? '', 'base64'));
    expect(details.reason).to.equal('CONTRACT_UNAUTHENTICATED');
  });

  it('is told which field is wrong', async () => {
    const told = await python(['create_sensor', companion, '70000']);
    expect(told.code).to.equal('INVALID_ARGUMENT');
    expect(told.details).to.contain('port');
    expect(told.explained?.ErrorInfo?.domain).to.equal('occ-mesh');
    expect(told.explained?.ErrorInfo?.reason).to.match(/^[A-Z][A-Z_]+$/);
    expect(told.explained?.BadRequest?.fieldViolations.map(({ field }) => field)).to.deep.equal(['settings']);
  });

  it('does not see more than its token allows', async () => {
    const { text } = await running.mesh.client.tokens.createApiToken({
      caller: Caller.CUSTOMER_READER,
      customerId: (await running.mesh.client.customers.createCustomer({ name: 'somebody else' })).id,
      lifetimeMs: 60_000,
      name: 'reader',
    });
    const token = await file('reader.token', text);
    const listed = await python<{ machines: unknown[] }>(['machines', '10'], { token });
    expect(listed.answer?.machines, listed.details).to.deep.equal([]);
    expect((await python(['create_sensor', companion, '80'], { token })).code).to.equal('PERMISSION_DENIED');
  });

  it('does not talk to a cloud of another mesh', async () => {
    const ca = await file('other-ca.crt', (await testAuthority('another mesh')).ca);
    const told = await python(['machines', '10'], { ca });
    expect(told.code).to.equal('UNAVAILABLE');
  });
});
