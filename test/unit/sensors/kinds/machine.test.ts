// Kinds that look at the machine itself: the arithmetic on given numbers, and a run on the real machine.
import { createServer } from 'node:http';
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { milliseconds } from '../../../../src/kernel/duration.js';
import { cpu, cpuValues, parseProcStat } from '../../../../src/sensors/kinds/cpu.js';
import { disk, diskValues } from '../../../../src/sensors/kinds/disk.js';
import { load } from '../../../../src/sensors/kinds/load.js';
import { memory, memoryValues, parseMeminfo } from '../../../../src/sensors/kinds/memory.js';
import { network, networkValues, parseNetDev } from '../../../../src/sensors/kinds/network.js';
import { cpuUsed, processKind, select } from '../../../../src/sensors/kinds/process.js';
import { parseMounts, watchedMounts } from '../../../../src/sensors/mounts.js';
import { parsePidStat } from '../../../../src/sensors/processes.js';
import { measure, metricOf, sensorOf } from '../support.js';

const byName = (values: { name: string; value: number }[]) => Object.fromEntries(values.map((v) => [v.name, v.value]));
const signal = new AbortController().signal;
const onLinux = process.platform === 'linux' ? it : it.skip;

describe('sensors/kinds: cpu', () => {
  it('is the share of time that was not idle', () => {
    const before = parseProcStat('cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1\n');
    const now = parseProcStat('cpu  150 10 140 900 60 10 20 10 5 0\n');
    expect(byName(cpuValues(before, now))).to.deep.equal({ usage: 46.7, iowait: 20, steal: 3.3 });
  });

  it('stays within 0 and 100 when counters go backwards, as iowait may', () => {
    const values = cpuValues(
      { idle: 10, total: 20, iowait: 9, steal: 0 },
      { idle: 25, total: 30, iowait: 0, steal: 0 },
    );
    for (const { value } of values) expect(value).to.be.within(0, 100);
  });

  it('measures this machine, and the portable way agrees in form', async () => {
    const here = await measure(cpu);
    expect(metricOf(here, 'usage')).to.be.within(0, 100);
    expect(here.state).to.equal(undefined);
    const elsewhere = await sensorOf(cpu, {}, { platform: 'win32' }).measure(signal);
    expect(elsewhere.values.map(({ name }) => name)).to.deep.equal(['usage']);
    expect(metricOf(elsewhere, 'usage')).to.be.within(0, 100);
  });

  it('lets go when it is ended', async () => {
    const reason = new Error('enough');
    expect(await measure(cpu, {}, AbortSignal.abort(reason)).catch((error) => error)).to.equal(reason);
  });
});

describe('sensors/kinds: memory', () => {
  it('counts what can be had, not what is unused', () => {
    const text = 'MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  250 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n';
    expect(byName(memoryValues(parseMeminfo(text)))).to.deep.equal({ usage: 75, available: 256_000, swap: 60 });
  });

  it('says so when the kernel is silent', () => {
    expect(() => parseMeminfo('MemTotal: 5 kB\n')).to.throw('MemAvailable');
  });

  it('measures this machine', async () => {
    const measured = await measure(memory);
    expect(metricOf(measured, 'usage')).to.be.within(0.1, 100);
    expect(metricOf(measured, 'available')).to.be.above(1e6);
  });
});

describe('sensors/kinds: load', () => {
  it('measures this machine', async () => {
    const measured = await measure(load);
    expect(metricOf(measured, 'load1')).to.be.at.least(0);
    expect(metricOf(measured, 'uptime')).to.be.above(0);
  });

  it('invents no load where there is none', async () => {
    const { values } = await sensorOf(load, {}, { platform: 'win32' }).measure(signal);
    expect(values.map(({ name }) => name)).to.deep.equal(['uptime']);
  });
});

describe('sensors/kinds: disk', () => {
  it('says used as df does: without what is reserved for root', () => {
    const space = { blocks: 1_000, bfree: 300, bavail: 250, bsize: 4_096, files: 100, ffree: 75 };
    expect(byName(diskValues('/var', space))).to.deep.equal({
      '/var/used': 73.7,
      '/var/free': 1_024_000,
      '/var/inodes': 25,
    });
    expect(byName(diskValues('/', { ...space, files: 0 }))).to.have.keys('/used', '/free');
  });

  it('watches local file systems, each once', () => {
    const text = [
      'proc /proc proc rw 0 0',
      'tmpfs /run tmpfs rw 0 0',
      '/dev/sda1 / ext4 rw 0 0',
      '/dev/sda1 /var/lib/bind ext4 rw 0 0',
      '/dev/sdb1 /mnt/my\\040disk xfs rw 0 0',
      '/dev/loop3 /snap/core squashfs ro 0 0',
      'server:/export /home nfs4 rw 0 0',
      '//nas/share /nas cifs rw 0 0',
      'tank/data /tank zfs rw 0 0',
      'me@host: /mnt/ssh fuse.sshfs rw 0 0',
    ].join('\n');
    expect(watchedMounts(parseMounts(text))).to.deep.equal(['/', '/mnt/my disk', '/tank']);
    expect(watchedMounts(parseMounts('overlay / overlay rw 0 0\n'))).to.deep.equal(['/']);
  });

  onLinux('measures this machine, all and chosen', async () => {
    expect(metricOf(await measure(disk), '/used')).to.be.within(0, 100);
    const chosen = await measure(disk, { mounts: ['/'] });
    expect(metricOf(chosen, '/free')).to.be.above(0);
    expect(chosen.state).to.equal(undefined);
  });

  onLinux('a chosen one that is not mounted is critical, and the others are still measured', async () => {
    const measured = await measure(disk, { mounts: ['/', '/no/such/mount'] });
    expect(measured).to.include({ state: State.CRITICAL, message: 'nothing is mounted at /no/such/mount' });
    expect(metricOf(measured, '/used')).to.be.within(0, 100);
  });
});

describe('sensors/kinds: network', () => {
  const counters = (received: number, sent: number, errors = 0) => ({ received, sent, errors });

  it('makes rates of counters', () => {
    const values = networkValues('eth0', counters(1_000, 500, 1), counters(5_000, 600, 4), milliseconds(2_000));
    expect(byName(values)).to.deep.equal({ 'eth0/in': 2_000, 'eth0/out': 50, 'eth0/errors': 3 });
  });

  it('a counter that began again is no huge rate', () => {
    const values = networkValues('eth0', counters(9_000_000, 10), counters(600, 5), milliseconds(1_000));
    expect(byName(values)).to.deep.equal({ 'eth0/in': 600, 'eth0/out': 5, 'eth0/errors': 0 });
  });

  it('reads /proc/net/dev', () => {
    const line = (name: string) => `${name}: 11 2 3 4 5 6 7 8 99 10 21 12 13 14 15 16\n`;
    const read = parseNetDev(`Inter-| Receive | Transmit\n face |bytes\n  ${line('lo')}${line('wlp2s0.5')}`);
    expect([...read.keys()]).to.deep.equal(['lo', 'wlp2s0.5']);
    expect(read.get('lo')).to.deep.equal(counters(11, 99, 24));
  });

  onLinux('sees real traffic on loopback, when asked for it', async () => {
    const sensor = sensorOf(network, { interfaces: ['lo'] });
    const server = createServer((_request, response) => response.end(Buffer.alloc(500_000)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const measuring = sensor.measure(signal);
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await (await fetch(`http://127.0.0.1:${port}`, { headers: { connection: 'close' } })).arrayBuffer();
    const measured = await measuring;
    server.close();
    expect(metricOf(measured, 'lo/in')).to.be.above(500_000);
  });

  onLinux('an interface that is not there is unknown', async () => {
    expect((await measure(network, { interfaces: ['nope0'] }).catch((e) => e)).message).to.equal('no interface nope0');
  });
});

describe('sensors/kinds: process', () => {
  const of = (name: string, command = '') => ({ name, command });

  it('finds by name: the kernel cuts it, the command line has all of it', () => {
    const all = [
      of('nginx', 'nginx: worker process'),
      of('nginx', '/usr/sbin/nginx -g daemon off;'),
      of('a-very-long-nam', '/opt/a-very-long-name-1 --x'),
      of('a-very-long-nam', '/opt/a-very-long-name-2'),
      of('bash', 'vi nginx'),
    ];
    expect(select(all, { name: 'nginx' })).to.have.length(2);
    expect(select(all, { name: 'a-very-long-name-1' })).to.deep.equal([all[2]]);
    expect(select(all, { name: 'vi' })).to.deep.equal([all[4]]);
  });

  it('finds by pattern, and a pattern gone wild does not hang the program', () => {
    const all = [of('java', 'java -jar shop.jar'), of('java', 'java -jar mail.jar'), of('kthreadd')];
    expect(select(all, { pattern: 'java .*shop' })).to.deep.equal([all[0]]);
    expect(select(all, { pattern: '^kthreadd$' })).to.deep.equal([all[2]]);
    const evil = [of('x', `${'a'.repeat(60)}!`)];
    expect(() => select(evil, { pattern: '^(a+)+$' }))
      .to.throw('takes too long')
      .with.property('code', 'sensor.pattern');
    expect(select(all, { pattern: 'mail' }), 'works again afterwards').to.have.length(1);
  });

  it('reads names with brackets and spaces', () => {
    const rest = `S 1 ${'0 '.repeat(9)}250 50 0 0 20 0 1 0 777 0 0`;
    expect(parsePidStat(`42 (we) ird (x)) ${rest}`)).to.deep.equal({
      pid: 42,
      name: 'we) ird (x)',
      startedAt: 777,
      cpuMs: 3_000,
    });
  });

  it('processor time is that of the same processes, also when a pid is used again', () => {
    const at = (pid: number, startedAt: number, cpuMs: number) => ({ pid, startedAt, cpuMs, name: '', command: '' });
    expect(cpuUsed([at(1, 10, 500), at(2, 10, 900)], [at(1, 10, 700), at(2, 99, 30)])).to.equal(230);
  });

  onLinux('finds this very process', async () => {
    const measured = await measure(processKind, { pattern: 'mocha' });
    expect(metricOf(measured, 'count')).to.be.at.least(1);
    expect(metricOf(measured, 'memory')).to.be.above(20e6);
    expect(metricOf(await measure(processKind, { name: 'no-such-program' }), 'count')).to.equal(0);
  });

  it('wants a name or a pattern, not both', () => {
    for (const wrong of [{}, { name: 'a', pattern: 'b' }, { pattern: '(' }, { nmae: 'a' }]) {
      expect(processKind.settings.safeParse(wrong).success, JSON.stringify(wrong)).to.equal(false);
    }
  });
});
