// Kind `file` on the real disk: its numbers, and that it looks nowhere but where it may.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { systemClock } from '../../../../src/kernel/clock.js';
import { file } from '../../../../src/sensors/kinds/file.js';
import { openWatched } from '../../../../src/sensors/watched-path.js';
import { metricOf, sensorOf } from '../support.js';

describe('sensors/kinds: file', () => {
  let root = '';
  let allowed = '';
  const at = (...names: string[]) => join(allowed, ...names);
  const look = (path: string, directories: readonly string[] = [allowed]) =>
    sensorOf(file, { path }, { watch: { directories } }).measure(new AbortController().signal);
  const fault = (path: string, directories?: readonly string[]) => look(path, directories).catch((thrown) => thrown);

  beforeEach(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), 'watched-')));
    allowed = join(root, 'allowed');
    await mkdir(allowed);
    await writeFile(join(root, 'outside'), 'secret');
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const written = async (path: string, bytes: number, ageSeconds: number) => {
    await writeFile(path, Buffer.alloc(bytes));
    const time = systemClock.now() / 1_000 - ageSeconds;
    await utimes(path, time, time);
  };

  it('measures age and size of a file', async () => {
    await written(at('backup'), 1_234, 3_600);
    const measured = await look(at('backup'));
    expect(measured).to.not.have.property('state');
    expect(measured.values.map(({ name }) => name)).to.deep.equal(['age', 'size']);
    expect(metricOf(measured, 'size')).to.equal(1_234);
    expect(metricOf(measured, 'age')).to.be.within(3_599, 3_660);
  });

  it('of a directory, the newest and all', async () => {
    await written(at('monday'), 100, 90_000);
    await written(at('tuesday'), 10, 500);
    await mkdir(at('sub'));
    await symlink(join(root, 'outside'), at('link'));
    const measured = await look(allowed);
    expect(metricOf(measured, 'count')).to.equal(2);
    expect(metricOf(measured, 'size')).to.equal(110);
    expect(metricOf(measured, 'age')).to.be.within(499, 560);
    expect((await look(at('sub'))).values.map(({ name }) => name)).to.deep.equal(['size', 'count']);
  });

  it('a file that is not there is critical', async () => {
    const missing = { values: [], state: State.CRITICAL, message: 'the file is not there' };
    await written(at('file'), 1, 1);
    for (const path of [at('none'), at('none', 'deeper', 'still'), at('file', 'x')]) {
      expect(await look(path), path).to.deep.equal(missing);
    }
  });

  it('looks nowhere else, and does not tell what is there from what is not', async () => {
    await symlink(join(root, 'outside'), at('link'));
    await symlink(root, at('up'));
    await mkdir(join(root, 'allowed-too'));
    for (const path of [
      ...[join(root, 'outside'), join(root, 'none'), root, '/', '/etc/passwd', '/etc/none', '/none/at/all'],
      ...[at('..', 'outside'), at('..', 'none'), `${allowed}/../outside`, at('link'), at('up', 'outside')],
      ...[at('up', 'none'), join(root, 'allowed-too'), join(root, 'allowed-too', 'none')],
    ]) {
      const thrown = await fault(path);
      expect(thrown.code, path).to.equal('sensor.refused');
      expect(thrown.message).to.equal(
        `${path} is not below the directories that may be watched on this machine (its --watch-directory)`,
      );
    }
    expect((await fault(at('x'), [])).code, 'nothing is allowed').to.equal('sensor.refused');
    expect((await fault(at('x'), [join(root, 'gone')])).code).to.equal('sensor.refused');
  });

  it('a link within what is allowed is as good as its file', async () => {
    await written(at('file'), 5, 1);
    await symlink(at('file'), at('inside'));
    expect(metricOf(await look(at('inside')), 'size')).to.equal(5);
    await symlink(allowed, join(root, 'alias'));
    expect(metricOf(await look(at('file'), [join(root, 'alias')]), 'size')).to.equal(5);
  });

  it('neither waits for a pipe nor opens a device', async function () {
    if (process.platform === 'win32') this.skip();
    execFileSync('mkfifo', [at('pipe')]);
    expect((await fault(at('pipe'))).code).to.equal('sensor.unreadable');
    for (const [path, directory] of [
      [at('pipe'), allowed],
      ['/dev/null', '/dev'],
    ] as const) {
      const thrown = await openWatched(path, [directory]).catch((error) => error);
      expect(thrown.message).to.equal(`${path} is not a file`);
    }
  });

  it('takes absolute paths only', () => {
    for (const path of ['', 'log', '../x', './x', '~/x', 'C:x', '/a\0b']) {
      expect(file.settings.safeParse({ path }).success, path).to.equal(false);
    }
  });
});
