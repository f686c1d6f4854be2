// The program as a process: real arguments, real signals, real exit codes.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { Scope } from '../../../src/kernel/scope.js';
import { temporaryFolder } from './support.js';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.ts');

function start(scope: Scope, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
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

  it('ends with 2 for nonsense', async () => {
    await using scope = new Scope();
    expect(await exitCode(start(scope, 'nonsense'))).to.equal(2);
  }).timeout(20_000);
});
