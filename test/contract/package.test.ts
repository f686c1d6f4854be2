// The package as somebody else's program sees it: only the files that package.json names, only its declared
// dependencies, and types that a strict compiler accepts.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';

const ROOT = resolve(import.meta.dirname, '../..');
const TSC = join(ROOT, 'node_modules/.bin/tsc');
const run = promisify(execFile);

const CONSUMER = `
import { type Caller, connect, ContractFault, every, type Machine, Role } from 'occ-mesh/client';
import { Envelope, Lane } from 'occ-mesh/gen/occmesh/link/v1/link.js';

export async function hubs(cloud: string, ca: string): Promise<Machine[]> {
  await using client = connect({ cloud, ca, token: () => 'token' });
  const found: Machine[] = [];
  for await (const machine of every(client.machines.listMachines, 'machines', {})) {
    if (machine.role === Role.HUB) found.push(machine);
  }
  return found;
}
export const isFault = (thrown: unknown): thrown is ContractFault => thrown instanceof ContractFault;
export const callers: Caller[] = [];
export const bytes: Uint8Array = Envelope.encode({
  lane: Lane.LIVE, payload: new Uint8Array([1]), counter: 2, signature: new Uint8Array(0), mac: new Uint8Array(0),
}).finish();
`;

const WRONG = `
import { connect } from 'occ-mesh/client';
export const client = connect({ cloud: 1, ca: 'x', token: 'y' });
`;

const PROGRAM = `
import * as client from 'occ-mesh/client';
import { Envelope, Lane, LinkServiceService } from 'occ-mesh/gen/occmesh/link/v1/link.js';
const bytes = Envelope.encode({ lane: Lane.LIVE, payload: new Uint8Array([1]), counter: 2, signature: new Uint8Array(0), mac: new Uint8Array(0) });
console.log(JSON.stringify({
  exported: Object.keys(client),
  hex: Buffer.from(bytes.finish()).toString('hex'),
  path: LinkServiceService.link.path,
}));
`;

const HIDDEN = `await import('occ-mesh/dist/src/cloud/cloud.js');`;

interface Manifest {
  readonly files: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
}

/** Links a package of ours into another node_modules. */
async function link(name: string, modules: string): Promise<void> {
  const target = join(modules, name);
  await mkdir(dirname(target), { recursive: true });
  await symlink(join(ROOT, 'node_modules', name), target, 'dir');
}

/** A program's folder in which the package is installed as `npm pack` would lay it out. */
async function install(home: string): Promise<Manifest> {
  const modules = join(home, 'node_modules');
  const target = join(modules, 'occ-mesh');
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  await mkdir(target, { recursive: true });
  await cp(join(ROOT, 'package.json'), join(target, 'package.json'));
  for (const file of manifest.files.filter((name) => ['gen', 'proto'].includes(name))) {
    await cp(join(ROOT, file), join(target, file), { recursive: true });
  }
  const dist = join(target, 'dist');
  const build = ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', dist];
  await run(TSC, [...build, '--tsBuildInfoFile', join(home, 'tsbuildinfo')]).catch(({ stdout }: { stdout: string }) => {
    throw new Error(`the package does not build:\n${stdout}`);
  });
  for (const name of Object.keys(manifest.dependencies)) await link(name, modules);
  // What every consumer in TypeScript has of its own.
  await link('@types/node', modules);
  await writeFile(join(home, 'package.json'), '{ "type": "module" }');
  return manifest;
}

async function compile(home: string, name: string, source: string): Promise<string> {
  await writeFile(join(home, name), source);
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--verbatimModuleSyntax'];
  const target = ['--target', 'ES2023', '--lib', 'ES2023,ESNext.Disposable', '--module', 'NodeNext'];
  const args = [...strict, ...target, '--types', 'node', '--skipLibCheck', 'false', '--noEmit', name];
  return await run(TSC, args, { cwd: home }).then(
    () => '',
    ({ stdout }: { stdout: string }) => stdout,
  );
}

describe('the package', function () {
  this.timeout(60_000);
  let home = '';
  let manifest: Manifest;

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'consumer-'));
    manifest = await install(home);
  });
  after(() => rm(home, { recursive: true, force: true }));

  const runProgram = async (name: string, source: string) => {
    await writeFile(join(home, name), source);
    return await run(process.execPath, [name], { cwd: home });
  };

  it('has types that a strict compiler accepts', async () => {
    expect(await compile(home, 'consumer.ts', CONSUMER)).to.equal('');
  });

  it('has types that say something (negative control)', async () => {
    expect(await compile(home, 'wrong.ts', WRONG)).to.contain("'number' is not assignable to type 'string'");
  });

  it('runs with its declared dependencies only', async () => {
    const { stdout } = await runProgram('program.js', PROGRAM);
    const { exported, hex, path } = JSON.parse(stdout) as { exported: string[]; hex: string; path: string };
    expect(exported).to.include.members(['connect', 'every', 'ContractFault', 'Role', 'State', 'Outcome']);
    expect(hex).to.equal('08021201011802');
    expect(path).to.equal('/occmesh.link.v1.LinkService/Link');
  });

  it('shows nothing but its exports', async () => {
    const failed = await runProgram('hidden.js', HIDDEN).then(
      () => '',
      ({ stderr }: { stderr: string }) => stderr,
    );
    expect(failed).to.contain('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  it('has the contracts for other languages', async () => {
    const proto = join(home, 'node_modules/occ-mesh/proto/occmesh/readings/v1/readings.proto');
    expect(await readFile(proto, 'utf8')).to.contain('service ReadingService');
  });

  it('has the program', async () => {
    const program = join(home, 'node_modules/occ-mesh', manifest.bin.occ ?? '');
    const { stdout } = await run(process.execPath, [program, '--version'], { cwd: home });
    expect(stdout.trim()).to.match(/^occ-mesh\/\d+\.\d+\.\d+/);
  });
});
