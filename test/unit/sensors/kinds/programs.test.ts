// Kinds that start programs, with real ones: small scripts made for each test, friendly and hostile.
import { chmod, chown, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SensorFault } from '../../../../src/sensors/fault.js';
import type { ExecPolicy, Measurement } from '../../../../src/sensors/kind.js';
import { exec, splitOutput } from '../../../../src/sensors/kinds/exec.js';
import { parsePing, pingArguments, pingWith } from '../../../../src/sensors/kinds/ping.js';
import { metricOf, sensorOf } from '../support.js';

const NOBODY = 65_534;
const isRoot = process.geteuid?.() === 0;
const asRoot = isRoot ? it : it.skip;

/** A plugin directory as a package would leave it, and a place outside. */
class Plugins implements AsyncDisposable {
  private constructor(
    readonly root: string,
    readonly directory: string,
  ) {}

  static async make(): Promise<Plugins> {
    const root = await realpath(await mkdtemp(join(tmpdir(), 'plugins-')));
    await chmod(root, 0o755);
    await mkdir(join(root, 'allowed'), { mode: 0o755 });
    return new Plugins(root, join(root, 'allowed'));
  }

  /** Writes a shell script; relative to the allowed directory. */
  async script(name: string, body: string): Promise<string> {
    const file = join(this.directory, name);
    await writeFile(file, `#!/bin/sh\n${body}\n`);
    await chmod(file, 0o755);
    return file;
  }

  run(settings: object, signal = new AbortController().signal, policy: Partial<ExecPolicy> = {}): Promise<Measurement> {
    const allowed = { directories: [this.directory], runAs: { uid: NOBODY, gid: NOBODY }, ...policy };
    return sensorOf(exec, settings, { exec: allowed }).measure(signal);
  }

  /** Why it is not run. */
  async refusal(settings: object, policy: Partial<ExecPolicy> = {}): Promise<string> {
    const fault = await this.run(settings, undefined, policy).catch((thrown) => thrown);
    expect(fault).to.be.instanceOf(SensorFault).with.property('code', 'sensor.refused');
    return fault.message;
  }

  async [Symbol.asyncDispose]() {
    await rm(this.root, { recursive: true, force: true });
  }
}

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // A zombie that nobody has reaped yet is as good as gone.
  return stat !== '' && !/\) [ZX]/.test(stat);
}

/** The kernel takes a moment from closing a dying process's files to its end; one that lives on runs into the timeout. */
async function untilGone(pid: number): Promise<void> {
  while (await isAlive(pid)) await new Promise((resolve) => setImmediate(resolve));
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

    it('a directory, and a plugin that runs others', async () => {
      await using plugins = await Plugins.make();
      await mkdir(join(plugins.directory, 'sub'));
      const negate = await plugins.script('negate', 'exec "$@"');
      await symlink(negate, join(plugins.directory, 'innocent'));
      expect(await plugins.refusal({ program: 'sub' })).to.match(/not a file/);
      expect(await plugins.refusal({ program: 'negate', args: ['/bin/id'] })).to.match(/runs other programs/);
      expect(await plugins.refusal({ program: 'innocent', args: ['/bin/id'] })).to.match(/runs other programs/);
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
      const promise = async (): Promise<number> => {
        for (;;) {
          const text = await readFile(write, 'utf8').catch(() => '');
          if (text !== '') return Number(text);
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
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

describe('sensors/kinds: ping', () => {
  const settings = { host: 'db.example', count: 3, family: 'any' } as const;
  const outputs: [name: string, output: string, expected: ReturnType<typeof parsePing>][] = [
    [
      'Linux',
      '3 packets transmitted, 3 received, 0% packet loss, time 2003ms\nrtt min/avg/max/mdev = 0.040/0.051/0.066/0.011 ms\n',
      { loss: 0, rtt: [0.04, 0.051, 0.066] },
    ],
    [
      'Linux, no answer',
      '3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 5ms\n',
      { loss: 100, rtt: undefined },
    ],
    [
      'busybox',
      '3 packets transmitted, 2 packets received, 33% packet loss\nround-trip min/avg/max = 0.1/0.2/0.3 ms\n',
      { loss: 33, rtt: [0.1, 0.2, 0.3] },
    ],
    [
      'macOS',
      '3 packets transmitted, 3 packets received, 0.0% packet loss\nround-trip min/avg/max/stddev = 13.1/14.2/15.3/0.8 ms\n',
      { loss: 0, rtt: [13.1, 14.2, 15.3] },
    ],
    [
      'Windows',
      '    Packets: Sent = 3, Received = 3, Lost = 0 (0% loss),\r\nApproximate round trip times in milli-seconds:\r\n    Minimum = 10ms, Maximum = 30ms, Average = 20ms\r\n',
      { loss: 0, rtt: [10, 20, 30] },
    ],
    [
      'Windows, German',
      '    Pakete: Gesendet = 3, Empfangen = 2, Verloren = 1\r\n    (33% Verlust),\r\nCa. Zeitangaben in Millisek.:\r\n    Minimum = 1ms, Maximum = 3ms, Mittelwert = 2ms\r\n',
      { loss: 33, rtt: [1, 2, 3] },
    ],
    [
      'Windows, no answer',
      '    Packets: Sent = 3, Received = 0, Lost = 3 (100% loss),\r\n',
      { loss: 100, rtt: undefined },
    ],
    ['nonsense', 'usage: ping [-x] host\n', undefined],
  ];
  for (const [name, output, expected] of outputs) {
    it(`reads the summary of ${name}`, () => expect(parsePing(output)).to.deep.equal(expected));
  }

  it('the host is the last argument, behind the end of options', () => {
    expect(pingArguments(settings, 'linux')).to.deep.equal(['-n', '-q', '-c', '3', '-W', '2', '--', 'db.example']);
    expect(pingArguments(settings, 'darwin').slice(-2)).to.deep.equal(['--', 'db.example']);
    expect(pingArguments({ ...settings, family: 'ipv6' }, 'win32')).to.deep.equal([
      '-n',
      '3',
      '-w',
      '2000',
      '-6',
      'db.example',
    ]);
    expect(pingWith([]).settings.safeParse({ host: '-f' }).success).to.equal(false);
  });

  it('without the program it is unsupported', async () => {
    const fault = await sensorOf(pingWith(['/no/ping']), settings)
      .measure(new AbortController().signal)
      .catch((thrown) => thrown);
    expect(fault.message).to.equal('unsupported here: there is no ping program');
  });

  it('runs the program it finds', async function () {
    if (process.platform === 'win32') this.skip();
    await using plugins = await Plugins.make();
    const answer = 'echo "$#: 3 received, 0% packet loss"; echo "rtt min/avg/max/mdev = 1/2/3/0 ms"';
    const good = await sensorOf(pingWith([await plugins.script('good', answer)]), settings).measure(
      new AbortController().signal,
    );
    expect(metricOf(good, 'rtt')).to.equal(2);
    expect(good.state).to.equal(undefined);
    const lost = await plugins.script('lost', 'echo "0 received, 100% packet loss"; exit 1');
    const none = await sensorOf(pingWith([lost]), settings).measure(new AbortController().signal);
    expect(none).to.include({ state: State.CRITICAL, message: 'no answer' });
    const wrong = await plugins.script('wrong', 'echo "ping: db.example: Name or service not known" >&2; exit 2');
    const fault = await sensorOf(pingWith([wrong]), settings)
      .measure(new AbortController().signal)
      .catch((thrown) => thrown);
    expect(fault.message).to.match(/Name or service not known/);
  });
});
