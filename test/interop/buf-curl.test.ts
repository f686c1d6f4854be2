// `buf curl`: an operator's tool that knows nothing but the address, and learns everything else by reflection. Built
// on connect-go and Go's HTTP/2, so one more independent peer.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { ROOT, run } from '../support/programs.js';
import { type InteropMesh, startMesh } from './mesh.js';

const BUF = join(ROOT, 'node_modules/.bin/buf');
const MACHINES = 'occmesh.inventory.v1.MachineService/ListMachines';
const CUSTOMERS = 'occmesh.inventory.v1.CustomerService';
/** buf shifts the gRPC status by three bits. */
const UNAUTHENTICATED = 16 << 3;
const NOT_FOUND = 5 << 3;
const INVALID_ARGUMENT = 3 << 3;

describe('buf curl', function () {
  this.timeout(60_000);
  let running: InteropMesh | undefined;
  let authorization = '';

  before(async () => {
    running = await startMesh();
    authorization = `Authorization: Bearer ${(await readFile(running.tokenFile, 'utf8')).trim()}\n`;
  });
  after(() => running?.[Symbol.asyncDispose]());

  /** `input` holds the headers, a blank line, and the request: nothing secret is in the arguments. */
  const curl = (path: string, flags: readonly string[], input = '', { program = BUF, patience = 30_000 } = {}) => {
    if (!running) throw new Error('no mesh');
    // Without prior knowledge it offers HTTP/1.1 as well, which is answered in words for people.
    const trust = ['--cacert', running.caFile, '--protocol', 'grpc', '--http2-prior-knowledge'];
    return run(program, ['curl', ...trust, ...flags, `https://${running.cloud}${path}`], {
      input,
      patience,
    });
  };
  const FROM_STDIN = ['--header', '@-', '--data', '@-'];

  it('lists the services', async () => {
    const { stdout, stderr } = await curl('', ['--list-services']);
    const services = stdout.trim().split('\n');
    expect(services, stderr).to.include.members([
      'grpc.health.v1.Health',
      'occmesh.inventory.v1.MachineService',
      'occmesh.link.v1.LinkService',
      'occmesh.readings.v1.ReadingService',
      'occmesh.trunk.v1.TrunkService',
    ]);
  });

  it('lists the methods of every service', async () => {
    const { stdout, stderr } = await curl('', ['--list-methods']);
    expect(stdout.trim().split('\n'), stderr).to.include.members([MACHINES, 'occmesh.link.v1.LinkService/Link']);
  });

  it('calls with a schema that it knows by reflection alone', async () => {
    const create = `${authorization}\n{"name": "by curl"}`;
    const created = await curl(`/${CUSTOMERS}/CreateCustomer`, FROM_STDIN, create);
    expect(created.code, created.stderr).to.equal(0);
    expect(JSON.parse(created.stdout)).to.include({ name: 'by curl' });
    const listed = await curl(`/${CUSTOMERS}/ListCustomers`, FROM_STDIN, `${authorization}\n{"pageSize": 10}`);
    const { customers } = JSON.parse(listed.stdout) as { customers: { id: string; name: string }[] };
    expect(customers.map(({ name }) => name)).to.deep.equal(['by curl']);
    const machines = await curl(`/${MACHINES}`, FROM_STDIN, `${authorization}\n{"customerId": "${customers[0]?.id}"}`);
    expect(machines.code, machines.stderr).to.equal(0);
    expect(JSON.parse(machines.stdout)).to.deep.equal({});
  });

  it('asks for health without any credential', async () => {
    const { stdout, stderr } = await curl('/grpc.health.v1.Health/Check', ['--data', '{}']);
    expect(stdout.trim() === '' ? stderr : JSON.parse(stdout)).to.deep.equal({ status: 'SERVING' });
  });

  it('asks for the health of one service, and is told when there is none of that name', async () => {
    const check = (service: string) => curl('/grpc.health.v1.Health/Check', ['--data', JSON.stringify({ service })]);
    expect(JSON.parse((await check('occmesh.readings.v1.ReadingService')).stdout)).to.deep.equal({ status: 'SERVING' });
    expect((await check('occmesh.readings.v1.NoService')).code).to.equal(NOT_FOUND);
  });

  it('reads a stream', async function () {
    // Its own program: a stream has no end, and the one that npm starts it by cannot be ended with it.
    const own = join(ROOT, `node_modules/@bufbuild/buf-${process.platform}-${process.arch}/bin/buf`);
    if (!existsSync(own)) this.skip();
    const { stdout, stderr } = await curl(
      '/occmesh.events.v1.EventService/WatchEvents',
      FROM_STDIN,
      `${authorization}\n{"afterPosition": 0}`,
      { program: own, patience: 3_000 },
    );
    // What has happened so far: a customer was made.
    expect(stdout, stderr).to.contain('"audit"').and.contain('CreateCustomer');
  });

  it('is told which field is wrong', async () => {
    const { code, stdout, stderr } = await curl(`/${CUSTOMERS}/CreateCustomer`, FROM_STDIN, `${authorization}\n{}`);
    expect(code).to.equal(INVALID_ARGUMENT);
    expect(`${stdout}${stderr}`).to.contain('google.rpc.BadRequest').and.contain('name');
  });

  it('is refused without a token, and told why', async () => {
    const { code, stdout, stderr } = await curl(`/${MACHINES}`, ['--data', '{}']);
    expect(code).to.equal(UNAUTHENTICATED);
    expect(`${stdout}${stderr}`).to.contain('unauthenticated').and.contain('token');
  });

  it('does not trust the cloud without the CA of its mesh (negative control)', async () => {
    if (!running) throw new Error('no mesh');
    const args = ['--protocol', 'grpc', '--http2-prior-knowledge', `https://${running.cloud}/${MACHINES}`];
    const { code, stderr } = await run(BUF, ['curl', '--schema', 'proto', '--data', '{}', ...args]);
    expect(code).to.not.equal(0);
    expect(stderr).to.match(/certificate/);
  });
});
