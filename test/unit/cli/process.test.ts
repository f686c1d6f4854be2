// The program as a process: real arguments, real signals, real exit codes.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { Scope } from '../../../src/kernel/scope.js';
import { temporaryFolder } from './support.js';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.ts');

const commandOf = (...args: string[]): string[] => [process.execPath, '--import', 'tsx', MAIN, ...args];

function start(scope: Scope, ...args: string[]): ChildProcess {
  const [program = '', ...rest] = commandOf(...args);
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  scope.defer(() => void child.kill('SIGKILL'));
  return child;
}

/** Resolves once standard error has shown this. */
function shows(child: ChildProcess, part: string): Promise<void> {
  let text = '';
  return new Promise((resolve, reject) => {
    child.stderr?.on('data', (chunk) => {
      text += String(chunk);
      if (text.includes(part)) resolve();
    });
    child.once('exit', () => reject(new Error(`it ended without "${part}": ${text}`)));
  });
}

const exitCode = async (child: ChildProcess): Promise<unknown> => (await once(child, 'exit'))[0];

describe('the process', () => {
  it('ends cleanly with 0 at SIGTERM', async () => {
    await using scope = new Scope();
    const folder = await temporaryFolder(scope);
    const cloud = start(scope, 'cloud', '--data', join(folder, 'cloud'), '--listen', '127.0.0.1:0');
    const ended = exitCode(cloud);
    await shows(cloud, 'cloud is up');
    cloud.kill('SIGTERM');
    expect(await ended).to.equal(0);
  }).timeout(20_000);

  it('writes its store for its own user only, whatever umask and directory it was given', async () => {
    await using scope = new Scope();
    const folder = await temporaryFolder(scope);
    const data = join(folder, 'cloud');
    await mkdir(data);
    await chmod(data, 0o777);
    const cloud = spawn(
      'sh',
      ['-c', 'umask 0; exec "$@"', 'sh', ...commandOf('cloud', '--data', data, '--listen', '127.0.0.1:0')],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    scope.defer(() => void cloud.kill('SIGKILL'));
    const ended = exitCode(cloud);
    await shows(cloud, 'cloud is up');
    const open: string[] = [];
    for (const name of await readdir(data, { recursive: true })) {
      if (((await stat(join(data, name))).mode & 0o077) !== 0) open.push(name);
    }
    cloud.kill('SIGTERM');
    expect(await ended).to.equal(0);
    // The CA, where the cloud is, and what it is called: nobody's secret.
    expect(open.sort()).to.deep.equal(['ca/ca.crt', 'client.yaml', 'node.json']);
  }).timeout(20_000);

  it('ends with 2 for nonsense', async () => {
    await using scope = new Scope();
    expect(await exitCode(start(scope, 'nonsense'))).to.equal(2);
  }).timeout(20_000);
});
