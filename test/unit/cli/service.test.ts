// `occ service`: the unit word for word and as systemd reads it, and installing into other roots and onto a machine whose
// commands are recorded.
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Host, requireSystemd, thisMachine } from '../../../src/cli/service/host.js';
import { installSteps, removeSteps } from '../../../src/cli/service/install.js';
import { follow, type Told } from '../../../src/cli/service/steps.js';
import { unitText } from '../../../src/cli/service/unit.js';
import { Scope } from '../../../src/kernel/scope.js';
import { program, run } from '../../support/programs.js';
import { occ, temporaryFolder, testTerminal } from './support.js';

const ROLES = ['cloud', 'connector', 'hub'] as const;
const BASE = { program: ['/usr/bin/node', '/opt/occ/main.js'], user: 'occ', logGroups: [] } as const;
const UNIT = '/etc/systemd/system/occ-hub.service';

describe('occ service: the unit', () => {
  it('of a hub is this', () => {
    const text = unitText({
      ...BASE,
      role: 'hub',
      data: '/var/lib/occ/hub',
      config: '/etc/occ/hub.yaml',
      logGroups: ['adm'],
    });
    expect(text.split('\n').filter((line) => !line.startsWith('#') && line !== '')).to.deep.equal([
      '[Unit]',
      "Description=occ-mesh hub: this machine's sensors",
      'Wants=network-online.target',
      'After=network-online.target',
      'StartLimitIntervalSec=0',
      '[Service]',
      'Type=exec',
      'ExecStart=/usr/bin/node /opt/occ/main.js hub --data /var/lib/occ/hub --log-format json --config /etc/occ/hub.yaml',
      'Restart=always',
      'RestartSec=5',
      'RestartPreventExitStatus=2 3',
      'TimeoutStopSec=30',
      'User=occ',
      'Group=occ',
      'UMask=0077',
      'StateDirectory=occ/hub',
      'StateDirectoryMode=0700',
      'AmbientCapabilities=CAP_NET_RAW',
      'CapabilityBoundingSet=CAP_NET_RAW',
      'SupplementaryGroups=adm',
      'ProtectSystem=strict',
      'ProtectHome=read-only',
      'PrivateTmp=yes',
      'PrivateDevices=yes',
      'ProtectClock=yes',
      'ProtectControlGroups=yes',
      'ProtectHostname=yes',
      'ProtectKernelLogs=yes',
      'ProtectKernelModules=yes',
      'ProtectKernelTunables=yes',
      'NoNewPrivileges=yes',
      'LockPersonality=yes',
      'RemoveIPC=yes',
      'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
      'RestrictNamespaces=yes',
      'RestrictRealtime=yes',
      'RestrictSUIDSGID=yes',
      'SystemCallArchitectures=native',
      'SystemCallFilter=@system-service',
      'SystemCallErrorNumber=EPERM',
      'LimitNOFILE=65536',
      '[Install]',
      'WantedBy=multi-user.target',
    ]);
  });

  it('gives a cloud port 443 and no homes, and every role one capability only', () => {
    for (const role of ROLES) {
      const text = unitText({ ...BASE, role, data: `/var/lib/occ/${role}` });
      const capabilities = [...text.matchAll(/Capabilit\w+=(.*)/g)].map(([, value]) => value);
      const one = role === 'cloud' ? 'CAP_NET_BIND_SERVICE' : 'CAP_NET_RAW';
      expect(capabilities).to.deep.equal([one, one]);
      expect(text).to.contain(`ProtectHome=${role === 'cloud' ? 'yes' : 'read-only'}\n`);
    }
    const atHome = unitText({ ...BASE, role: 'cloud', data: '/data/x', program: ['/home/me/node'] });
    expect(atHome).to.contain('ProtectHome=read-only\n');
    expect(atHome).to.contain('ReadWritePaths=/data/x\n');
  });

  it('quotes what systemd would read otherwise, and refuses what cannot be quoted', () => {
    const text = unitText({ ...BASE, role: 'hub', data: '/srv/50% of "my" $data\\x' });
    expect(text).to.contain(String.raw`--data "/srv/50%% of \"my\" $$data\\x" --log`);
    expect(text).to.contain(String.raw`ReadWritePaths="/srv/50%% of \"my\" $data\\x"`);
    for (const bad of ['/srv/x\nUser=root', '/srv/\u0000', '/srv/\u007f']) {
      expect(() => unitText({ ...BASE, role: 'hub', data: bad }), JSON.stringify(bad)).to.throw('control characters');
    }
  });

  it('is one that systemd takes, and thinks safe', async function () {
    this.timeout(20_000);
    if (!(await program('systemd-analyze', 'systemd').here())) return this.skip();
    const folder = await mkdtemp(join(tmpdir(), 'occ-unit-'));
    try {
      for (const role of ROLES) {
        const file = join(folder, `occ-${role}.service`);
        // A user that every machine has; the program is this one's.
        await writeFile(
          file,
          unitText({ ...BASE, role, program: [process.execPath], user: 'daemon', data: `/var/lib/occ/${role}` }),
        );
        const verified = await run('systemd-analyze', ['verify', '--man=no', file]);
        const about = `${verified.stdout}${verified.stderr}`.split('\n').filter((line) => line.includes(`occ-${role}`));
        expect(about, 'a complaint of systemd').to.deep.equal([]);
        const judged = await run('systemd-analyze', [
          'security',
          '--offline=true',
          '--threshold=25',
          '--no-pager',
          file,
        ]);
        expect(judged.code, `more exposed than 2.5 of 10:\n${judged.stdout.slice(-300)}`).to.equal(0);
      }
      const careless = join(folder, 'careless.service');
      await writeFile(careless, '[Service]\nExecStart=/bin/true\nNoSuchThing=1\n');
      expect((await run('systemd-analyze', ['verify', '--man=no', careless])).stderr, 'negative control').to.contain(
        'NoSuchThing',
      );
      expect(
        (await run('systemd-analyze', ['security', '--offline=true', '--threshold=25', careless])).code,
      ).not.to.equal(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

/** A machine whose commands are written down; systemctl says what was done by it. */
class RecordedMachine implements Host {
  readonly live = true;
  readonly commands: string[] = [];
  constructor(private readonly root: string) {}

  at(path: string): string {
    return join(this.root, path);
  }

  async run(command: string, args: readonly string[]): Promise<string> {
    const line = [command, ...args].join(' ');
    if (line.startsWith('systemctl show ')) return 'no\n';
    if (line.startsWith('systemctl is-')) {
      const wanted = args[0] === 'is-enabled' ? 'systemctl enable' : 'systemctl restart';
      if (this.commands.some((before) => before.startsWith(wanted)))
        return args[0] === 'is-enabled' ? 'enabled\n' : 'active\n';
      throw new Error('no');
    }
    this.commands.push(line);
    if (command === 'systemd-sysusers') await writeFile(this.at('/etc/passwd'), 'occ:x:997:997::/:/none\n');
    return '';
  }
}

describe('occ service: installing', () => {
  let scope: Scope;
  let root: string;
  beforeEach(async () => {
    scope = new Scope();
    root = await temporaryFolder(scope);
  });
  afterEach(() => scope.stop());

  const terminal = () => testTerminal({ cwd: root });
  const into = async (...args: string[]): Promise<Told[]> => {
    const { code, out, err } = await occ(['service', ...args, '--root', join(root, 'image'), '--json'], terminal());
    expect(code, err).to.equal(0);
    return JSON.parse(out) as Told[];
  };
  const outcomes = (told: readonly Told[]) => [...new Set(told.map(({ outcome }) => outcome))];
  const inImage = (path: string) => join(root, 'image', path);

  it('into another root makes everything, and a second time nothing', async () => {
    expect(outcomes(await into('install', 'hub'))).to.deep.equal(['done']);
    expect(await readFile(inImage(UNIT), 'utf8')).to.contain('ExecStart=');
    expect(await readlink(inImage('/etc/systemd/system/multi-user.target.wants/occ-hub.service'))).to.equal(
      '../occ-hub.service',
    );
    expect(await readFile(inImage('/etc/sysusers.d/occ.conf'), 'utf8')).to.contain('u occ - "occ-mesh"');
    expect((await stat(inImage('/var/lib/occ/hub'))).mode & 0o777).to.equal(0o700);
    expect((await stat(inImage('/var/lib/occ'))).mode & 0o777, 'others pass here').to.equal(0o755);
    expect(outcomes(await into('install', 'hub'))).to.deep.equal(['as it was']);
    const changed = await into('install', 'hub', '--config', '/etc/occ/hub.yaml');
    expect(changed.filter(({ outcome }) => outcome === 'done').map(({ step }) => step)).to.deep.equal([
      `write ${UNIT}`,
    ]);
  });

  it('only tells what it would do, with the unit, and does nothing', async () => {
    const told = await into('install', 'connector', '--dry-run');
    expect(outcomes(told)).to.deep.equal(['would be done']);
    expect(told.find(({ step }) => step.endsWith('occ-connector.service'))?.detail).to.contain('[Service]');
    expect(await readdir(root)).to.deep.equal([]);
    const { out } = await occ(['service', 'install', 'cloud', '--dry-run', '--root', root], terminal());
    expect(out).to.match(/^would {6}write \/etc\/systemd\/system\/occ-cloud\.service$/m);
    expect(out).to.match(/^ {13}\| User=occ$/m);
  });

  it('copies a token where only the service reads it', async () => {
    await writeFile(join(root, 'hub.token'), 'occ1.secret\n', { mode: 0o600 });
    const told = await into('install', 'hub', '--token-file', 'hub.token');
    expect(JSON.stringify(told)).not.to.contain('secret');
    const copy = inImage('/var/lib/occ/hub/enrolment.token');
    expect(await readFile(copy, 'utf8')).to.equal('occ1.secret\n');
    expect((await stat(copy)).mode & 0o777).to.equal(0o600);
    expect(await readFile(inImage(UNIT), 'utf8')).to.contain('--token-file /var/lib/occ/hub/enrolment.token');
    for (const unreadable of ['none', '.']) {
      const command = ['service', 'install', 'hub', '--token-file', unreadable, '--root', 'image'];
      const { code, err } = await occ(command, terminal());
      expect(code, unreadable).to.equal(3);
      expect(err)
        .to.match(/the file of --token-file cannot be read \((ENOENT|EISDIR)\)\n +Check that/)
        .and.not.to.contain(root);
    }
  });

  it('starts nothing on a machine that runs that could only end again: without membership or token', async () => {
    const machine = new RecordedMachine(root);
    const install = async (options: Partial<Parameters<typeof installSteps>[0]>) => {
      const all = { ...BASE, role: 'hub', data: '/var/lib/occ/hub', start: true, ...options } as const;
      const steps = await installSteps(all, machine).catch((fault: unknown) => String(fault));
      return typeof steps === 'string' ? steps : JSON.stringify(steps.map(({ detail }) => detail));
    };
    const refusal = 'not a member of any mesh yet, and no enrolment token';
    expect(await install({})).to.contain(refusal);
    expect(await install({ role: 'connector', data: '/var/lib/occ/connector' })).to.contain(refusal);
    expect(await install({ config: '/etc/occ/hub.yaml' })).to.contain('the file of --config cannot be read (ENOENT)');
    await mkdir(machine.at('/etc/occ'), { recursive: true });
    await writeFile(machine.at('/etc/occ/hub.yaml'), '');
    for (const fine of [{ start: false }, { config: '/etc/occ/hub.yaml' }, { role: 'cloud' }] as const) {
      expect(await install(fine))
        .to.contain('ExecStart')
        .but.not.contain('--token-file');
    }
    await mkdir(machine.at('/var/lib/occ/hub'), { recursive: true });
    await writeFile(machine.at('/var/lib/occ/hub/enrolment.token'), '');
    expect(await install({}), 'the token of the time before').to.contain(
      '--token-file /var/lib/occ/hub/enrolment.token',
    );
    await rm(machine.at('/var/lib/occ/hub/enrolment.token'));
    await writeFile(machine.at('/var/lib/occ/hub/machine.json'), '{}');
    expect(await install({}), 'a member')
      .to.contain('ExecStart')
      .but.not.contain('--token-file');
    await mkdir(machine.at('/var/lib/occ/connector/connector'), { recursive: true });
    await writeFile(machine.at('/var/lib/occ/connector/connector/machine.json'), '{}');
    expect(await install({ role: 'connector', data: '/var/lib/occ/connector' })).to.contain('ExecStart');
  });

  it('refuses nothing for want of a membership where it cannot see whether there is one', async () => {
    const machine = new RecordedMachine(root);
    // As for anybody's --dry-run; to root, under whom tests may run, only such a loop is closed.
    await mkdir(machine.at('/var/lib/occ'), { recursive: true });
    await symlink('hub', machine.at('/var/lib/occ/hub'));
    const options = { ...BASE, role: 'hub', data: '/var/lib/occ/hub', start: true } as const;
    expect(JSON.stringify(await installSteps(options, machine))).to.contain('ExecStart');
  });

  it('is taken back, data apart, and with --purge all of it', async () => {
    for (const role of ['hub', 'cloud']) await into('install', role);
    await writeFile(inImage('/var/lib/occ/hub/machine.json'), '{}');
    await into('remove', 'hub');
    expect(await readdir(inImage('/etc/systemd/system/multi-user.target.wants'))).to.deep.equal(['occ-cloud.service']);
    expect(await readdir(inImage('/var/lib/occ/hub'))).to.deep.equal(['machine.json']);
    expect(outcomes(await into('remove', 'hub'))).to.deep.equal(['as it was']);
    await into('remove', 'hub', '--purge');
    expect(await readdir(inImage('/var/lib/occ'))).to.deep.equal(['cloud']);
    expect(await readdir(inImage('/etc/sysusers.d')), 'the cloud still has its user').to.deep.equal(['occ.conf']);
    await into('remove', 'cloud', '--purge');
    expect(await readdir(inImage('/etc/sysusers.d'))).to.deep.equal([]);
    expect(await readdir(inImage('/var/lib/occ'))).to.deep.equal([]);
  });

  it('purges nothing that is not its own', async () => {
    await mkdir(inImage('/home/me'), { recursive: true });
    await writeFile(inImage('/home/me/thesis'), '');
    const purge = async (data: string) =>
      occ(['service', 'remove', 'hub', '--purge', '--data', data, '--root', join(root, 'image')], terminal());
    expect((await purge('/home/me')).err).to.contain('does not look like the data of a hub');
    for (const data of ['/', '/home', '//'])
      expect((await purge(data)).err, data).to.contain('cannot be a data directory');
    await into('install', 'hub', '--data', '/var/lib/else/hub');
    expect((await purge('/var/lib/occ/hub')).err).to.contain('another data directory');
    expect(await readdir(inImage('/home/me'))).to.deep.equal(['thesis']);
  });

  it('on a machine that runs makes the user first, then starts; and does none of it twice', async function () {
    // Only root gives files away.
    if (process.getuid?.() !== 0) return this.skip();
    const machine = new RecordedMachine(root);
    const options = { ...BASE, role: 'hub', data: '/var/lib/occ/hub', start: true } as const;
    await mkdir(machine.at('/var/lib/occ/hub/log'), { recursive: true });
    await writeFile(machine.at('/var/lib/occ/hub/log/of-root'), '');
    await writeFile(machine.at('/var/lib/occ/hub/machine.json'), '{}');
    await follow(await installSteps(options, machine), false);
    expect(machine.commands).to.deep.equal([
      'systemd-sysusers /etc/sysusers.d/occ.conf',
      'systemctl daemon-reload',
      'systemctl enable occ-hub.service',
      'systemctl restart occ-hub.service',
    ]);
    for (const path of ['', 'log', 'log/of-root']) {
      expect((await stat(machine.at(join('/var/lib/occ/hub', path)))).uid, path).to.equal(997);
    }
    expect(outcomes(await follow(await installSteps(options, machine), false))).to.deep.equal(['as it was']);
    expect(machine.commands).to.have.length(4);
    await mkdir(machine.at('/etc/occ'), { recursive: true });
    await writeFile(machine.at('/etc/occ/hub.yaml'), '');
    await follow(await installSteps({ ...options, config: '/etc/occ/hub.yaml' }, machine), false);
    expect(machine.commands.slice(4)).to.deep.equal(['systemctl daemon-reload', 'systemctl restart occ-hub.service']);
    await follow(await removeSteps({ ...options, purge: true }, machine), false);
    expect(machine.commands.slice(6)).to.deep.equal([
      'systemctl disable --now occ-hub.service',
      'systemctl daemon-reload',
      'userdel occ',
    ]);
  });

  it('gives the service no file to which it has put a link, and nothing in a directory that it has already', async function () {
    // Only root gives files away.
    if (process.getuid?.() !== 0) return this.skip();
    const machine = new RecordedMachine(root);
    const options = { ...BASE, role: 'hub', data: '/var/lib/occ/hub', start: false } as const;
    const data = machine.at(options.data);
    const [elsewhere, ofRoot] = [join(root, 'elsewhere'), join(root, 'elsewhere', 'shadow')];
    await mkdir(elsewhere);
    await writeFile(ofRoot, '');
    await mkdir(data, { recursive: true });
    await symlink(elsewhere, join(data, 'away'));
    await symlink(ofRoot, join(data, 'shadow'));
    await follow(await installSteps(options, machine), false);
    expect((await stat(data)).uid).to.equal(997);
    for (const path of [elsewhere, ofRoot]) expect((await stat(path)).uid, path).to.equal(0);
    // The service has it all, and opens it to others.
    await chmod(data, 0o777);
    await writeFile(join(data, 'of-root'), '');
    await follow(await installSteps(options, machine), false);
    expect((await stat(data)).mode & 0o777).to.equal(0o700);
    for (const path of [elsewhere, ofRoot, join(data, 'of-root')]) expect((await stat(path)).uid, path).to.equal(0);
  });

  it('says so where systemd is not, and takes no user that is none', async () => {
    const elsewhere: Host = { ...thisMachine, at: (path) => join(root, path) };
    const thrown: unknown = await requireSystemd(elsewhere, 0).catch((fault: unknown) => fault);
    expect(String(thrown)).to.contain('not run by systemd');
    await mkdir(join(root, 'run/systemd/system'), { recursive: true });
    await requireSystemd(elsewhere, 0);
    expect(String(await requireSystemd(elsewhere, 1_000).catch((fault: unknown) => fault))).to.contain('only root');
    for (const user of ['root', 'Occ', 'a b', '-x', '../x', 'x'.repeat(40)]) {
      const { code } = await occ(['service', 'install', 'hub', '--user', user, '--root', root], terminal());
      expect(code, user).to.equal(2);
    }
    expect((await occ(['service', 'install', 'hub', '--data', '/srv/x', '--root', root], terminal())).err).to.contain(
      'below /var/lib',
    );
    expect((await occ(['service', 'install', 'relay', '--root', root], terminal())).code).to.equal(2);
  });
});
