// Kind `systemd` against a real one: a user's manager, started by the test among mounts of its own, since the machine (a
// container, mostly) has not been started by systemd. That takes rights; without them it is skipped, also in CI.
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { systemdOf } from '../../../src/sensors/kinds/systemd.js';
import { needs, program, run } from '../../support/programs.js';
import { measure, metricOf } from '../../unit/sensors/support.js';
import { Daemon } from './daemon.js';

const MANAGER = '/lib/systemd/systemd';
/** What it takes for systemd to believe that it belongs here. */
const MOUNTS = [
  '(umount -R -l /sys/fs/cgroup || true)',
  'mount -t cgroup2 none /sys/fs/cgroup',
  'mkdir -p /run/systemd',
  'mount -t tmpfs none /run/systemd',
  'mkdir /run/systemd/system',
].join(' && ');
const aside = (script: string) => ['/usr/bin/unshare', '--mount', '/bin/sh', '-c', script];

const target = '[Unit]\nDescription=target\n';
const service = (start: string, type = 'simple') => `[Service]\nType=${type}\nExecStart=${start}\n`;

const systemctl = (folder: string, ...args: string[]) =>
  run('/usr/bin/env', [`XDG_RUNTIME_DIR=${folder}`, 'systemctl', '--user', ...args], { patience: 5_000 });

describe('systemd', () => {
  let daemon: Daemon | undefined;
  const folder = () => daemon?.folder ?? '';
  const ask = (settings: object) => measure(systemdOf(folder()), settings);

  before(async function () {
    await needs(this, [program(MANAGER, 'systemd')]);
    const [file = '', ...args] = aside(MOUNTS);
    const trial = await run(file, args).catch(({ message }: Error) => ({ code: -1, stderr: message }));
    if (trial.code !== 0) {
      process.stderr.write(`    SKIPPED: no mounts of its own here: ${trial.stderr.trim()}\n`);
      this.skip();
    }
    daemon = await Daemon.start({
      asRoot: true,
      files: {
        ...Object.fromEntries(['default', 'basic', 'sysinit', 'shutdown'].map((name) => [`${name}.target`, target])),
        'good.service': service('/bin/sleep 1000'),
        'bad.service': service('/bin/false', 'oneshot'),
      },
      command: (at) =>
        aside(
          `${MOUNTS} && XDG_RUNTIME_DIR=${at('')} SYSTEMD_UNIT_PATH=${at('')} exec ${MANAGER} --user --log-target=console`,
        ),
      ready: async (where) => (await systemctl(where, 'is-active', 'default.target')).code === 0,
    });
  });
  after(async () => {
    // Its services are in groups of their own.
    if (daemon) await systemctl(daemon.folder, 'stop', 'good.service');
    await daemon?.[Symbol.asyncDispose]();
  });

  it('tells an active unit from an inactive one', async () => {
    expect(await ask({ unit: 'good.service' })).to.include({ message: 'the unit is inactive (dead)' });
    expect(await ask({ unit: 'good', expect: 'inactive' })).to.not.have.property('state');
    expect((await systemctl(folder(), 'start', 'good.service')).code).to.equal(0);
    const measured = await ask({ unit: 'good' });
    expect(measured).to.not.have.property('state');
    expect(metricOf(measured, 'active')).to.equal(1);
    expect(metricOf(measured, 'restarts')).to.equal(0);
  });

  it('finds what has failed, and why', async () => {
    expect(metricOf(await ask({}), 'failed')).to.equal(0);
    await systemctl(folder(), 'start', 'bad.service');
    expect(await ask({ unit: 'bad' })).to.include({
      state: State.CRITICAL,
      message: 'the unit is failed (failed, exit-code)',
    });
    expect(await ask({})).to.include({ state: State.CRITICAL, message: 'failed: bad.service' });
  });

  it('a unit that is not there is unknown', async () => {
    expect((await ask({ unit: 'none' }).catch((thrown) => thrown)).message).to.equal('there is no such unit');
  });
});
