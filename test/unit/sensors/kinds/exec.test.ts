// Kind `exec` with real programs: small scripts made for each test, friendly and hostile.
import { chmod, chown, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SensorFault } from '../../../../src/sensors/fault.js';
import type { ExecPolicy } from '../../../../src/sensors/kind.js';
import { exec, splitOutput } from '../../../../src/sensors/kinds/exec.js';
import { sensorOf } from '../support.js';
import { NOBODY, Plugins } from './plugins.js';

const isRoot = process.geteuid?.() === 0;
const asRoot = isRoot ? it : it.skip;

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // A zombie that nobody has reaped yet is as good as gone.
  return stat !== '' && !/\) [ZX]/.test(stat);
}

/** Looks again and again until there is something, and gives up long before the runner would. */
async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 20_000; tries++) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never: ${what}`);
}

/** The kernel takes a moment from closing a dying process's files to its end. One that lives on is ended here. */
async function untilGone(pid: number): Promise<void> {
  try {
    await eventually(`process ${pid} ends`, async () => ((await isAlive(pid)) ? undefined : true));
  } catch (thrown) {
    process.kill(pid, 'SIGKILL');
    throw thrown;
  }
}

describe('sensors/kinds: exec', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip();
  });

  for (const [code, state] of [State.OK, State.WARNING, State.CRITICAL, State.UNKNOWN].entries()) {
    it(`exit code ${code} is state ${State[state]}`, async () => {
      await using plugins = await Plugins.make();
      await plugins.script('check', `echo "DISK - fine | /=5MB;6;7;0;9 'my label'=3.5%"; exit ${code}`);
      expect(await plugins.run({ program: 'check' })).to.deep.equal({
        state,
        message: 'DISK - fine',
        values: [
          { name: '/', unit: 'MB', value: 5 },
          { name: 'my label', unit: '%', value: 3.5 },
        ],
      });
    });
  }

  it('another exit code, a signal, or nothing to say is explained', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('odd', 'echo hm; exit 42');
    await plugins.script('killed', 'kill -9 $$');
    await plugins.script('mute', 'exit 2');
    await plugins.script('cry', 'echo broken >&2; exit 3');
    const said = async (program: string) => (await plugins.run({ program })).message;
    expect(await said('odd')).to.equal('the plugin ended with exit code 42: hm');
    expect(await said('killed')).to.equal('the plugin ended with a signal');
    expect(await said('mute')).to.equal('the plugin says nothing');
    expect(await said('cry')).to.equal('broken');
    expect((await plugins.run({ program: 'odd' })).state).to.equal(State.UNKNOWN);
  });

  it('reads performance data of later lines too', () => {
    const output = 'OK - x | a=1\nlong text\nmore | b=2\nc=3\n';
    expect(splitOutput(output)).to.deep.equal({ text: 'OK - x', perfdata: ' a=1  b=2\nc=3\n' });
    expect(splitOutput('')).to.deep.equal({ text: '', perfdata: ' ' });
  });

  it('no shell reads the arguments', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('args', 'printf "%s/" "$@"');
    const args = ['$(touch /tmp/owned)', '; id', '`id`', 'a b', '*', '', '--', '| x'];
    // The message ends where performance data would begin, at the bar.
    expect((await plugins.run({ program: 'args', args })).message).to.equal(args.join('/').split('|')[0]?.trim());
  });

  it('the environment is clean', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('env', 'env | sort | tr "\\n" " "; pwd');
    process.env.OCC_TEST_SECRET = 'hunter2';
    const { message } = await plugins.run({ program: 'env' });
    delete process.env.OCC_TEST_SECRET;
    expect(message).to.match(/^HOME=\/ LANG=C LC_ALL=C PATH=\S+ PWD=\/ (SHLVL=\S+ )?(_=\S+ )?\/$/);
  });

  asRoot('a hub that is root becomes somebody else, without root’s groups', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('who', 'echo $(id -u) $(id -g) $(id -G)');
    expect((await plugins.run({ program: 'who' })).message).to.equal(`${NOBODY} ${NOBODY} ${NOBODY}`);
  });

  asRoot('a hub that is root refuses to run plugins as root', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('who', 'id -u');
    const message = 'plugins are not run as root';
    expect(await plugins.refusal({ program: 'who' }, { runAs: { uid: 0, gid: 0 } })).to.equal(message);
    const policy: ExecPolicy = { directories: [plugins.directory] };
    const fault = await sensorOf(exec, { program: 'who' }, { exec: policy })
      .measure(new AbortController().signal)
      .catch((thrown) => thrown);
    expect(fault.message).to.equal(message);
  });

  describe('refuses', () => {
    it('what is outside the allowed directories, by any way', async () => {
      await using plugins = await Plugins.make();
      await symlink('/bin/sh', join(plugins.directory, 'link'));
      await mkdir(join(plugins.root, 'allowed-too'));
      await writeFile(join(plugins.root, 'allowed-too', 'x'), '#!/bin/sh\n', { mode: 0o755 });
      for (const program of ['/bin/sh', '../../../../../../bin/sh', 'link', '../allowed-too/x', '.', '']) {
        if (program === '') expect(exec.settings.safeParse({ program }).success).to.equal(false);
        else expect(await plugins.refusal({ program }), program).to.match(/not below/);
      }
      expect(await plugins.refusal({ program: 'none' })).to.match(/not found/);
      expect(await plugins.refusal({ program: 'link' }, { directories: [] })).to.match(/no directory is allowed/);
    });

    it('a directory, a plugin that runs others, and one that reads and writes whatever it is told to', async () => {
      await using plugins = await Plugins.make();
      await mkdir(join(plugins.directory, 'sub'));
      const negate = await plugins.script('negate', 'exec "$@"');
      await symlink(negate, join(plugins.directory, 'innocent'));
      expect(await plugins.refusal({ program: 'sub' })).to.match(/not a file/);
      expect(await plugins.refusal({ program: 'negate', args: ['/bin/id'] })).to.match(/runs other programs/);
      expect(await plugins.refusal({ program: 'innocent', args: ['/bin/id'] })).to.match(/runs other programs/);
      await plugins.script('check_log', 'cat "$2"');
      expect(await plugins.refusal({ program: 'check_log', args: ['-F', 'identity.key'] })).to.match(/any file/);
    });

    it('a file or a directory that others can write', async () => {
      await using plugins = await Plugins.make();
      const file = await plugins.script('check', 'echo fine');
      expect((await plugins.run({ program: 'check' })).message, 'control').to.equal('fine');
      for (const [path, bad, good] of [
        [file, 0o775, 0o755],
        [file, 0o757, 0o755],
        [plugins.directory, 0o775, 0o755],
        [plugins.directory, 0o1777, 0o755],
        [plugins.root, 0o777, 0o755],
      ] as const) {
        await chmod(path, bad);
        expect(await plugins.refusal({ program: 'check' }), `${path} ${bad}`).to.match(/can be written by others/);
        await chmod(path, good);
      }
      expect((await plugins.run({ program: 'check' })).message, 'control').to.equal('fine');
    });

    asRoot('a file or a directory that belongs to an ordinary user', async () => {
      await using plugins = await Plugins.make();
      const file = await plugins.script('check', 'echo fine');
      for (const path of [file, plugins.directory, plugins.root]) {
        await chown(path, NOBODY, NOBODY);
        expect(await plugins.refusal({ program: 'check' }), path).to.match(/belongs to an ordinary user/);
        await chown(path, 0, 0);
      }
      expect((await plugins.run({ program: 'check' })).message, 'control').to.equal('fine');
    });

    it('platforms where it cannot be checked', async () => {
      const sensor = sensorOf(exec, { program: 'x' }, { platform: 'win32', exec: { directories: ['C:\\x'] } });
      const fault = await sensor.measure(new AbortController().signal).catch((thrown) => thrown);
      expect(fault.message).to.match(/^unsupported here: /);
    });
  });

  describe('a hostile plugin', () => {
    /** Runs it, ends the run as the scheduler does once the plugin has said its pid, and hands the pid back. */
    async function endLate(plugins: Plugins, body: string): Promise<number> {
      const { promise, write } = await pidFile(plugins);
      await plugins.script('hostile', `${body.replaceAll('SAY', `echo $! > ${write}.tmp; mv ${write}.tmp ${write}`)}`);
      const control = new AbortController();
      const reason = new SensorFault('sensor.timeout', 'timed out');
      const run = plugins.run({ program: 'hostile' }, control.signal).catch((thrown) => thrown);
      const pid = await promise();
      expect(await isAlive(pid), 'control: it runs').to.equal(true);
      control.abort(reason);
      expect(await run).to.equal(reason);
      return pid;
    }

    /** Where a script writes a pid, and a wait for it. */
    async function pidFile(plugins: Plugins) {
      const directory = join(plugins.root, 'out');
      await mkdir(directory);
      await chmod(directory, 0o777);
      const write = join(directory, 'pid');
      const read = async () => Number(await readFile(write, 'utf8').catch(() => '')) || undefined;
      const promise = () => eventually('the script says its pid', read);
      return { promise, write };
    }

    it('that hangs is ended with everything it started', async () => {
      await using plugins = await Plugins.make();
      await untilGone(await endLate(plugins, 'sleep 1000 & SAY; wait'));
    });

    it('that ignores the polite signal is ended all the same', async () => {
      await using plugins = await Plugins.make();
      const pid = await endLate(
        plugins,
        'trap "" TERM INT HUP; sh -c "while :; do sleep 1; done" & SAY; while :; do sleep 1; done',
      );
      await untilGone(pid);
    });

    it('that leaves something in the background does not hold the run, and leaves nothing', async () => {
      await using plugins = await Plugins.make();
      const { promise, write } = await pidFile(plugins);
      await plugins.script('fork', `sleep 1000 & echo $! > ${write}; echo done; exit 1`);
      expect(await plugins.run({ program: 'fork' })).to.include({ state: State.WARNING, message: 'done' });
      await untilGone(await promise());
    });

    it('whose descendant leaves the group and keeps the pipe does not hold the run', async () => {
      await using plugins = await Plugins.make();
      const { promise, write } = await pidFile(plugins);
      const flight = `setsid sh -c 'echo $$ > ${write}; exec sleep 1000' &`;
      await plugins.script('escape', `${flight}\nwhile [ ! -s ${write} ]; do :; done; echo done`);
      expect((await plugins.run({ program: 'escape' })).message).to.equal('done');
      const pid = await promise();
      expect(await isAlive(pid), 'control: it did escape').to.equal(true);
      process.kill(pid, 'SIGKILL');
      await untilGone(pid);
    });

    it('that never stops writing is ended', async () => {
      await using plugins = await Plugins.make();
      for (const [name, body] of [
        ['out', 'exec yes'],
        ['err', 'exec yes >&2'],
        ['ignoring', 'trap "" TERM PIPE; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done'],
      ] as const) {
        await plugins.script(name, body);
        const fault = await plugins.run({ program: name }).catch((thrown) => thrown);
        expect(fault.message, name).to.equal('the plugin wrote more than 64 KiB and was ended');
      }
    });

    it('that is no program says why', async () => {
      await using plugins = await Plugins.make();
      await writeFile(join(plugins.directory, 'data'), 'x', { mode: 0o644 });
      expect((await plugins.run({ program: 'data' }).catch((thrown) => thrown)).code).to.equal('EACCES');
    });
  });
});
