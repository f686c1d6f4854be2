// `occ doctor` against real servers: a cloud, a connector, a proxy that tunnels and one that looks into TLS; with clocks,
// disks and certificates that are wrong.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { expect } from 'chai';
import { Role } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { OperationsServiceService } from '../../../gen/occmesh/operations/v1/operations.js';
import type { CallCredentials } from '../../../src/contract/callers.js';
import { loadDescriptors } from '../../../src/contract/descriptors.js';
import { ContractFault } from '../../../src/contract/fault.js';
import { HealthService } from '../../../src/contract/health.js';
import { GrpcListener } from '../../../src/contract/listener.js';
import { MeshAuthority } from '../../../src/identity/authority.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { SealingKeyPair } from '../../../src/identity/sealing-keys.js';
import type { MeshRole } from '../../../src/identity/spiffe.js';
import { formatEnrollmentToken } from '../../../src/identity/token-text.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { type Clock, systemClock } from '../../../src/kernel/clock.js';
import { days, epochMs, hours, minutes } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { Scope } from '../../../src/kernel/scope.js';
import { SOFTWARE } from '../../../src/kernel/software.js';
import { ensureKeys, saveMembership } from '../../../src/membership/machine-files.js';
import { testAuthority } from '../../support/throwaway-certificates.js';
import { CUSTOMER, MACHINE } from '../identity/fixtures.js';
import { occ, temporaryFolder, testTerminal } from './support.js';

interface Check {
  readonly check: string;
  readonly verdict: string;
  readonly seen: string;
  readonly todo?: string;
}

/** No interface of this name: nothing is searched for three seconds. */
const NO_SEARCH = ['--interface', 'none-such'];
const shifted = (by: number): Clock => ({ ...systemClock, now: () => epochMs(systemClock.now() + by) });

describe('occ doctor', () => {
  let scope: Scope;
  let folder: string;
  let authority: MeshAuthority;
  let cloud: string;
  let software = SOFTWARE;
  let retired = false;

  beforeEach(async () => {
    scope = new Scope();
    folder = await temporaryFolder(scope);
    authority = await MeshAuthority.create('test', { clock: systemClock, random: systemRandom });
    [software, retired] = [SOFTWARE, false];
    cloud = await serve('cloud');
  });
  afterEach(() => scope.stop());

  /** A listener that shows a certificate of this role; its address. */
  async function serve(role: MeshRole): Promise<string> {
    const key = SigningKey.generate();
    const customerId = role === 'cloud' ? '' : CUSTOMER;
    const identity = { mesh: 'test', customerId, role, machineId: MACHINE };
    const { pem } = await authority.issue({ identity, publicKey: key.publicKey });
    const authenticate = ({ certificate = Buffer.alloc(0) }: CallCredentials) => {
      if (retired)
        throw new ContractFault('contract.denied', 'this machine has been retired', { advice: 'Enrol it again.' });
      return {
        kind: 'machine',
        role: 'hub',
        machineId: MACHINE,
        customerId: CUSTOMER,
        certificate,
        keyId: Buffer.alloc(8),
      } as const;
    };
    const listener = new GrpcListener(
      {
        ...{ host: '127.0.0.1', port: 0, key: key.toPem(), cert: pem, ca: authority.bundle.pems.join('') },
        access: { rules: loadDescriptors().accessRules(), authenticate },
      },
      { clock: systemClock, log: silentLogger, random: systemRandom },
    );
    new HealthService().addTo(listener);
    listener.add(OperationsServiceService, {
      getCloud: async () => ({ software, clockMs: systemClock.now() }),
      createBackup: async function* () {},
    });
    await scope.own(listener).start();
    return `127.0.0.1:${listener.address.port}`;
  }

  const own = (server: Server, sockets: Set<Socket>) =>
    scope.defer(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });

  /** A proxy: tells its address, and hands each tunnel to `tunnel`. */
  async function proxy(tunnel: (socket: Socket, target: string) => void): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', (head) => {
        const [, target = ''] = /^CONNECT (\S+) /.exec(head.toString('latin1')) ?? [];
        socket.pause();
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        tunnel(socket, target);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    own(server, sockets);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const tunnelling = () =>
    proxy((socket, target) => {
      const [host, port] = target.split(':');
      const out = dial(Number(port), host).on('error', () => socket.destroy());
      socket.pipe(out).pipe(socket);
      socket.on('close', () => out.destroy());
    });

  /** A company's firewall: ends TLS itself, with a certificate of its own. */
  async function intercepting(): Promise<string> {
    const company = await testAuthority('Evil Corp Inspection CA');
    const { key, cert } = await company.issue('127.0.0.1');
    const tls = createTlsServer({ key, cert, ALPNProtocols: ['http/1.1'] }, (socket) => {
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n');
    });
    tls.on('tlsClientError', () => undefined);
    return proxy((socket) => tls.emit('connection', socket));
  }

  /** A data directory with a membership. */
  async function enrolled(role: 'hub' | 'connector' = 'connector', validity = days(90)): Promise<string> {
    const data = join(folder, role);
    const directory = role === 'connector' ? join(data, 'connector') : data;
    const { identity: key } = await ensureKeys(directory);
    const identity = { mesh: 'test', customerId: CUSTOMER, role, machineId: MACHINE };
    const certificate = await authority.issue({ identity, publicKey: key.publicKey, validity });
    await saveMembership(directory, certificate, authority.bundle, {
      ...{ v: 1, cloud, enrollmentKey: '', fingerprint: '', enrolledAt: '', connectors: [] },
    });
    return data;
  }

  async function tokenFile(lifetime = hours(1), role = Role.CONNECTOR): Promise<string> {
    const file = join(folder, 'token');
    const text = formatEnrollmentToken({
      ...{ cloud, caCertificates: [...authority.bundle.ders], enrollmentKey: SealingKeyPair.generate().publicKey },
      ...{ tokenId: Buffer.alloc(16, 1), secret: Buffer.alloc(32, 1), customerId: uuidBytes(CUSTOMER), role },
      ...{ expiresAtMs: systemClock.now() + lifetime, connectors: [], machineId: Buffer.alloc(0) },
    });
    await writeFile(file, text, { mode: 0o600 });
    return file;
  }

  async function examine(args: readonly string[], clock = systemClock, env: Record<string, string> = {}) {
    const terminal = testTerminal({ clock, random: systemRandom, cwd: folder, env });
    const { code, out, err } = await occ(['doctor', '--json', ...NO_SEARCH, ...args], terminal);
    const { checks, ok } = JSON.parse(out || `{"checks": [], "err": ${JSON.stringify(err)}}`) as {
      checks: Check[];
      ok: boolean;
    };
    const named = (check: string): Check => {
      const found = checks.find((one) => one.check === check);
      if (!found) throw new Error(`no ${check} in ${out}${err}`);
      return found;
    };
    expect(ok, 'the exit code says the same').to.equal(code === 0);
    return { code, checks, named, verdict: (check: string) => named(check).verdict };
  }

  it('finds nothing wrong with a connector as it should be', async () => {
    const { code, checks, named } = await examine(['--data', await enrolled()]);
    expect(checks.filter(({ verdict }) => verdict === 'failed')).to.deep.equal([]);
    expect(code).to.equal(0);
    for (const check of [
      'membership',
      'certificate',
      'way to the cloud',
      'clock',
      'version',
      'data directory',
      'key files',
    ]) {
      expect(named(check).verdict, JSON.stringify(named(check))).to.equal('ok');
    }
    expect(named('membership').seen).to.contain(MACHINE);
    expect(named('version').seen).to.equal(`${SOFTWARE}, as the cloud`);
    expect(named('key files').seen).to.match(/^2, readable/);
  });

  it('examines a machine before it enrols, by its token', async () => {
    const { code, named, verdict } = await examine([
      '--role',
      'connector',
      '--data',
      'new',
      '--token-file',
      await tokenFile(),
    ]);
    expect(code).to.equal(0);
    expect(named('membership').seen).to.match(/not enrolled yet; the token is good for (1h|59m)/);
    expect(verdict('way to the cloud')).to.equal('ok');
    expect(verdict('clock')).to.equal('ok');
    expect(named('version').seen).to.contain('the cloud answers gRPC');
    expect(named('data directory').seen).to.contain('does not exist yet');

    const late = await examine(['--role', 'connector', '--token-file', await tokenFile()], shifted(hours(2)));
    expect(late.named('membership')).to.include({ verdict: 'failed', seen: 'the token has expired' });
    const other = await examine(['--role', 'connector', '--token-file', await tokenFile(hours(1), Role.HUB)]);
    expect(other.named('membership').seen).to.contain('for a hub, not for a connector');
  });

  it('names whoever looks into TLS, and does not believe its clock', async () => {
    const { code, named, verdict } = await examine(['--data', await enrolled(), '--proxy', await intercepting()]);
    expect(code).to.equal(1);
    const way = named('way through the proxy');
    expect(way.verdict).to.equal('failed');
    expect(way.seen).to.contain('"Evil Corp Inspection CA"');
    expect(way.todo).to.contain('without looking into TLS');
    expect(verdict('clock')).to.equal('skipped');
    expect(named('way to the cloud').seen).to.contain('the proxy is used');
  });

  it('goes through the proxy of the environment or the flag, and says what it refuses', async () => {
    const data = await enrolled();
    const good = await examine(['--data', data, '--proxy', await tunnelling()]);
    expect(good.code).to.equal(0);
    expect(good.verdict('way through the proxy')).to.equal('ok');
    expect(good.verdict('version'), 'gRPC goes the same way').to.equal('ok');
    const file = join(folder, 'service.yaml');
    await writeFile(file, `data: connector\nproxy: ${await intercepting()}\nlisten: 0.0.0.0:11000\n`);
    const configured = await examine(['--config', file]);
    expect(configured.verdict('membership'), 'its data').to.equal('ok');
    expect(configured.verdict('way through the proxy'), 'its proxy').to.equal('failed');
    const refusing = await proxy((socket) => socket.destroy());
    const bad = await examine(['--data', data, '--cloud', 'cloud.invalid:443'], systemClock, {
      https_proxy: refusing,
    });
    expect(bad.named('way through the proxy').verdict).to.equal('failed');
    expect(bad.named('name of the cloud').verdict).to.equal('failed');
  });

  it('finds a clock that is wrong, either way', async () => {
    const data = await enrolled();
    for (const [by, verdict, words] of [
      [minutes(10), 'failed', 'ahead of the cloud'],
      [-minutes(10), 'failed', 'behind the cloud'],
      [20_000, 'warning', 'ahead of the cloud'],
      [0, 'ok', 'agrees'],
    ] as const) {
      const clock = (await examine(['--data', data], shifted(by))).named('clock');
      expect(clock.verdict, `${by}`).to.equal(verdict);
      expect(clock.seen).to.contain(words);
      if (verdict !== 'ok') expect(clock.todo).to.contain('Set the clock');
    }
  });

  it('tells a closed port, and a port of somebody else', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const closed = await examine(['--data', await enrolled(), '--cloud', `127.0.0.1:${port}`]);
    expect(closed.code).to.equal(1);
    expect(closed.named('way to the cloud').seen).to.contain('ECONNREFUSED');
    expect(closed.named('way to the cloud').todo).to.contain('check that the cloud is running');
    expect(closed.verdict('version')).to.equal('skipped');
    const other = await examine(['--data', await enrolled(), '--cloud', await serve('connector')]);
    expect(other.named('way to the cloud').seen).to.contain('the peer is a connector');
  });

  it('ends in time although nobody says anything', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    own(silent, sockets);
    // Every wait is a hundredth of itself.
    const hasty: Clock = {
      ...systemClock,
      after: (delay, action) => systemClock.after((delay / 100) as typeof delay, action),
    };
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { named } = await examine(['--data', await enrolled(), '--cloud', address], hasty);
    expect(named('way to the cloud')).to.include({ verdict: 'failed', seen: 'no answer within 10s' });
  });

  it('tells certificates that are over, or of another key', async () => {
    const data = await enrolled('connector', days(3));
    expect((await examine(['--data', data], shifted(days(4)))).named('certificate').seen).to.contain('expired on');
    const late = (await examine(['--data', data], shifted(days(2.9)))).named('certificate');
    expect(late.verdict).to.equal('warning');
    expect(late.seen).to.contain('should have been renewed');
    await writeFile(join(data, 'connector', 'identity.key'), SigningKey.generate().toPem(), { mode: 0o600 });
    const damaged = await examine(['--data', data]);
    expect(damaged.named('membership').verdict).to.equal('failed');
    expect(damaged.named('membership').seen).to.contain('for another key');
  });

  it('tells keys that others can read, and a disk that cannot be written', async () => {
    const data = await enrolled();
    await chmod(join(data, 'connector', 'identity.key'), 0o640);
    const exposed = (await examine(['--data', data])).named('key files');
    expect(exposed.verdict).to.equal('failed');
    expect(exposed.seen).to.contain('(0640)');
    expect(exposed.todo).to.contain('chmod 600');
    await writeFile(join(folder, 'file'), '');
    const nowhere = await examine(['--role', 'connector', '--data', join(folder, 'file', 'below')]);
    expect(nowhere.code).to.equal(1);
    expect(nowhere.verdict('data directory')).to.equal('failed');
    expect(nowhere.named('membership').todo).to.contain('--data');
    const typed = await examine(['--role', 'hub', '--data', join(folder, 'none'), '--token-file', 'not-there']);
    expect(typed.named('membership').seen).to.contain('the token file does not exist');
    // Nobody makes files there, not even root.
    const nobody = await examine(['--role', 'connector', '--data', '/proc/x']);
    expect(nobody.named('data directory').seen).to.contain('cannot be made');
    const kernel = (await examine(['--role', 'connector', '--data', '/proc/self'])).named('data directory');
    expect(kernel.verdict).to.equal('failed');
    expect(kernel.seen).to.contain('cannot be written');
  });

  it('leaves everything as it was', async () => {
    const data = await enrolled('hub');
    const { rm, readdir } = await import('node:fs/promises');
    await rm(join(data, 'sealing.key'));
    const before = (await readdir(data, { recursive: true })).sort();
    await examine(['--data', data]);
    expect((await readdir(data, { recursive: true })).sort()).to.deep.equal(before);
  });

  it('says which side is to be updated, and that a machine was retired', async () => {
    const data = await enrolled();
    for (const [theirs, verdict] of [
      ['occ-mesh/0.0.1', 'warning'],
      ['occ-mesh/0.99.0', 'warning'],
      ['occ-mesh/99.0.0', 'failed'],
    ] as const) {
      software = theirs;
      expect((await examine(['--data', data])).named('version'), theirs).to.include({ verdict });
    }
    retired = true;
    const connector = await serve('connector');
    for (const flags of [[], ['--role', 'hub', '--data', await enrolled('hub'), '--connector', connector]]) {
      const { code, named } = await examine(['--data', data, ...flags]);
      expect(named('admission').verdict, 'although a connector is there').to.equal('failed');
      expect(named('admission').seen).to.contain('has been retired');
      expect(code).to.equal(1);
    }
  });

  it('is content with one way for a hub, and with none it is not', async () => {
    const data = await enrolled('hub');
    const connector = await serve('connector');
    const away = ['--cloud', '127.0.0.1:1'];
    const through = await examine(['--data', data, '--connector', connector, ...away]);
    expect(through.code).to.equal(0);
    expect(through.named('connector')).to.include({ verdict: 'ok' });
    expect(through.verdict('way to the cloud')).to.equal('warning');
    expect((await examine(['--data', data])).verdict('connector'), 'direct').to.equal('warning');
    const none = await examine(['--data', data, ...away]);
    expect(none.code).to.equal(1);
    expect(none.verdict('connector')).to.equal('failed');
    const wrong = await examine(['--data', data, '--connector', cloud, ...away]);
    expect(wrong.named('connector').seen).to.contain('the peer is a cloud');
  });

  it('tries multicast where it is to be used', async () => {
    const data = await enrolled();
    expect((await examine(['--data', data])).named('multicast')).to.include({ verdict: 'warning' });
    const loopback = (await examine(['--data', data, '--interface', 'lo', '--ssdp-port', '19017'])).named('multicast');
    expect(loopback.verdict, loopback.seen).to.equal('ok');
    const held = createSocket('udp4').bind(19_018);
    await once(held, 'listening');
    const taken = await examine(['--data', data, '--interface', 'lo', '--ssdp-port', '19018']);
    held.close();
    await once(held, 'close');
    expect(taken.named('multicast').seen).to.contain('UDP port 19018 is held by a program that does not share it');
  });

  it('prints one line for each check, and what to do below it', async () => {
    await mkdir(join(folder, 'empty'));
    const terminal = testTerminal({ clock: systemClock, random: systemRandom, cwd: folder });
    const { code, out, err } = await occ(['doctor', '--role', 'connector', '--data', 'empty', ...NO_SEARCH], terminal);
    expect(code).to.equal(0);
    expect(err).to.equal('');
    expect(out).to.match(/^warning {2}membership +no membership in .*\n +→ Name the data directory/);
    expect(out).to.match(/^skipped {2}way to the cloud +it is not known which cloud is meant$/m);
  });
});
