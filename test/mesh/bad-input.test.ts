// What does not belong on a port: refused with words for whoever sent it and a line in the log, at the cloud and at a
// connector alike, and a hub on the same process goes on as if nothing were. Real processes.
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { expect } from 'chai';
import { Envelope } from '../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import type { ContractFault } from '../../src/contract/fault.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import type { RoleProcess } from '../../src/demo/processes.js';
import { MeshAuthority } from '../../src/identity/authority.js';
import { openAuthority } from '../../src/identity/authority-folder.js';
import { SigningKey } from '../../src/identity/keys.js';
import { sleep } from '../../src/kernel/clock.js';
import { days, epochMs, milliseconds, minutes, seconds } from '../../src/kernel/duration.js';
import { systemRandom } from '../../src/kernel/random.js';
import type { Ending } from '../../src/link/pipe.js';
import { StreamPipe } from '../../src/link/stream-pipe.js';
import type { CarrierAddress } from '../../src/membership/carrier.js';
import type { Membership } from '../../src/membership/machine-files.js';
import { enrolConnector, enrolHub, HandTrunk, LightHub, linkStream } from '../support/actors.js';
import { type Meddle, MeddlingPipe } from '../support/meddling-pipe.js';
import {
  clock,
  endMesh,
  expectExactlyOnce,
  LogMark,
  startMesh,
  untilPath,
  untilReports,
} from '../support/mesh-site.js';

/** A connection is given 10 s to say something that makes sense, and once more after TLS. */
const HANDSHAKE = seconds(10);
const MIB = 1024 * 1024;

describe('bad input', () => {
  let mesh: LocalMesh;
  let direct: HubProcess;
  let carried: HubProcess;
  let actor: Membership;
  /** Connections that say nothing, or nearly nothing, from the beginning on. */
  const loris: Promise<number>[] = [];

  interface Port {
    readonly at: CarrierAddress;
    readonly process: RoleProcess;
  }
  const ports = new Map<string, Port>();
  const portOf = (name: string): Port => {
    const port = ports.get(name);
    if (!port) throw new Error(`no ${name}`);
    return port;
  };

  before(async () => {
    mesh = await startMesh({ fallbackAfter: milliseconds(1_500) });
    await mesh.startConnector();
    ports.set('cloud', { at: { address: `127.0.0.1:${mesh.cloudPort}`, role: 'cloud' }, process: mesh.cloud });
    const connector = { address: `127.0.0.1:${mesh.connectorPort}`, role: 'connector' } as const;
    ports.set('connector', { at: connector, process: mesh.connector });
    carried = await mesh.addHub('carried', ['--no-multicast', '--connector', connector.address]);
    direct = await mesh.addHub('direct', ['--no-multicast']);
    for (const { machineId } of [carried, direct]) await mesh.quicken(machineId, seconds(1));
    actor = await enrolHub(mesh);
    await untilPath(mesh, carried, 'connector');
    await untilPath(mesh, direct, 'direct');
    for (const { at } of ports.values()) {
      for (const start of [silent, trickling, silentAfterTls]) loris.push(lifetimeOf(start(at)));
    }
  });
  after(() => endMesh(mesh));

  const portNumber = ({ address }: CarrierAddress) => Number(address.split(':')[1]);
  const tcp = (at: CarrierAddress): Socket => {
    const socket = connectTcp(portNumber(at), '127.0.0.1');
    return socket.on('error', () => undefined);
  };
  const tls = (at: CarrierAddress, options: ConnectionOptions): TLSSocket => {
    const socket = connectTls({ port: portNumber(at), host: '127.0.0.1', rejectUnauthorized: false, ...options });
    return socket.on('error', () => undefined);
  };

  /** However it ends: whoever writes into a connection that is being closed sees a reset instead. */
  const closed = (socket: Socket) => new Promise<unknown>((resolve) => socket.once('close', resolve));

  /** Everything that comes until the other side closes. */
  const answerOf = async (socket: Socket): Promise<string> => {
    let text = '';
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
    });
    await closed(socket);
    return text;
  };

  const silent = (at: CarrierAddress) => tcp(at);
  const silentAfterTls = (at: CarrierAddress) => tls(at, { ALPNProtocols: ['h2'] }).on('data', () => undefined);
  /** The beginning of a TLS record of 500 bytes, a byte a second. */
  const trickling = (at: CarrierAddress) => {
    const socket = tcp(at);
    const closed = new AbortController();
    socket.once('close', () => closed.abort());
    const trickle = async () => {
      for (const byte of [22, 3, 1, 1, 244, ...Buffer.alloc(60)]) {
        if (socket.destroyed) return;
        socket.write(Buffer.of(byte));
        await sleep(clock, seconds(1), closed.signal).catch(() => undefined);
      }
    };
    void trickle();
    return socket;
  };
  const lifetimeOf = async (socket: Socket): Promise<number> => {
    const began = clock.monotonic();
    socket.resume();
    await closed(socket);
    return clock.monotonic() - began;
  };

  for (const name of ['cloud', 'connector']) {
    describe(`on the port of a ${name}`, () => {
      it('garbage is dropped', async () => {
        const { at, process } = portOf(name);
        const mark = await LogMark.now(process);
        const socket = tcp(at);
        socket.write(systemRandom.bytes(2_000));
        await answerOf(socket);
        await mark.until(/"peer":"127\.0\.0\.1:\d+","cause":"[^"]+".*no TLS handshake/);
      });

      it('HTTP without TLS is dropped, and the log says what it was', async () => {
        const { at, process } = portOf(name);
        const mark = await LogMark.now(process);
        const socket = tcp(at);
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
        await answerOf(socket);
        await mark.until(/http request.*no TLS handshake/);
      });

      it('a browser is told what it has found', async () => {
        const { at, process } = portOf(name);
        const mark = await LogMark.now(process);
        const socket = tls(at, { ALPNProtocols: ['http/1.1'] });
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
        const answer = await answerOf(socket);
        expect(answer).to.match(/^HTTP\/1\.1 426 /);
        expect(answer).to.match(/This port speaks gRPC/);
        await mark.until(/HTTP\/1\.1 where gRPC is spoken/);
      });

      it('TLS without a protocol, and what is not HTTP/2 inside of it, is dropped', async () => {
        const { at, process } = portOf(name);
        const mark = await LogMark.now(process);
        const without = tls(at, {});
        without.write(systemRandom.bytes(500));
        await answerOf(without);
        const within = tls(at, { ALPNProtocols: ['h2'] });
        within.write(systemRandom.bytes(500));
        await answerOf(within);
        await mark.until(/an HTTP\/2 session broke/);
      });

      const refusedAtTheDoor = async (member: Membership): Promise<ContractFault | undefined> => {
        const { at, process } = portOf(name);
        const mark = await LogMark.now(process);
        const fault = await linkStream(member, at).closed;
        await mark.until(/LinkService\/Link.*a call was refused/);
        return fault;
      };

      it('a certificate of somebody else is none, and it says what is missing', async () => {
        const modules = { clock, random: systemRandom };
        const stranger = await withCertificateOf(await MeshAuthority.create('mesh', modules));
        const fault = await refusedAtTheDoor(stranger);
        expect(fault?.code).to.equal('contract.unauthenticated');
        expect(fault?.message).to.match(/needs a client certificate of this mesh.*Enrol this machine/);
      });

      it('a certificate that has expired is none, and it says what to do', async () => {
        const before = { ...clock, now: () => epochMs(clock.now() - days(200)) };
        const folder = join(mesh.options.directory, 'cloud', 'ca');
        const authority = await openAuthority(folder, actor.certificate.identity.mesh, {
          clock: before,
          random: systemRandom,
        });
        const fault = await refusedAtTheDoor(await withCertificateOf(authority));
        expect(fault?.code).to.equal('contract.unauthenticated');
        expect(fault?.message).to.match(/none that is valid came.*renew its certificate/);
      });

      /** The same member with a new certificate for the same identity. */
      const withCertificateOf = async (authority: MeshAuthority): Promise<Membership> => {
        const { identity } = actor.certificate;
        const publicKey = actor.identity.publicKey;
        return { ...actor, certificate: await authority.issue({ identity, publicKey }) };
      };

      /** A session on which somebody lays hands; resolves with how it ended, as the hub hears it. */
      const meddled = async (meddle: Meddle, words: RegExp): Promise<Ending> => {
        const { at } = portOf(name);
        const mark = await LogMark.now(mesh.cloud);
        const hub = new LightHub(actor);
        const pipe = new MeddlingPipe(new StreamPipe(linkStream(actor, at)), meddle);
        const ending = (await hub.connectOver(pipe)) ?? (await hub.session?.ended);
        await mark.until(words);
        if (!ending) throw new Error('unreachable');
        return ending;
      };
      const isFrame = (envelope: Uint8Array) => Envelope.decode(envelope).counter > 0;

      it('a frame that cannot be read ends its session', async () => {
        const words = /does not parse/;
        const ending = await meddled(() => [Buffer.of(8, 1, 18, 255, 255)], words);
        expect([CloseCode[ending.code], ending.message]).to.satisfy(([code, message]: [string, string]) => {
          return code === 'PROTOCOL' && words.test(message);
        });
      });

      it('a message that is too large ends its session', async () => {
        const { at, process } = portOf(name);
        const mark = await LogMark.now(process);
        const stream = linkStream(actor, at);
        expect(await new LightHub(actor).connectOver(new StreamPipe(stream))).to.equal(undefined);
        stream.write(Buffer.alloc(3 * MIB));
        const fault = await stream.closed;
        expect(fault?.code).to.equal('contract.exhausted');
        expect(fault?.message).to.match(/larger than max \(\d+ vs \d+\)/);
        await mark.until(/LinkService\/Link.*larger than max/);
      });

      it('a Hello with a bad signature is refused', async () => {
        const other = SigningKey.generate();
        const words = /signature|proof/;
        const ending = await meddled((envelope) => {
          const message = Envelope.decode(envelope);
          return [Envelope.encode({ ...message, signature: other.sign(Buffer.from(message.payload)) }).finish()];
        }, words);
        expect(CloseCode[ending.code]).to.equal('UNAUTHENTIC');
        expect(ending.message).to.match(words);
      });

      it('a frame with a wrong MAC ends its session', async () => {
        const ending = await meddled((envelope) => {
          if (!isFrame(envelope)) return [envelope];
          const message = Envelope.decode(envelope);
          const payload = Buffer.from(message.payload);
          payload[payload.length - 1] = (payload.at(-1) ?? 0) ^ 1;
          return [Envelope.encode({ ...message, payload }).finish()];
        }, /MAC of frame 1/);
        expect(CloseCode[ending.code]).to.equal('UNAUTHENTIC');
        expect(ending.message).to.match(/MAC of frame 1 does not verify/);
      });

      it('a frame that comes twice ends its session', async () => {
        const twice: Meddle = (envelope) => (isFrame(envelope) ? [envelope, envelope] : [envelope]);
        const ending = await meddled(twice, /frame 1 where 2 was due/);
        expect(CloseCode[ending.code]).to.equal('UNAUTHENTIC');
        expect(ending.message).to.match(/repeated/);
      });
    });
  }

  it('a trunk that cannot be read is ended, and the connector hears why', async () => {
    const { connector } = await enrolConnector(mesh);
    for (const [bytes, words] of [
      [Buffer.of(10, 255, 255, 255), /does not parse/],
      [systemRandom.bytes(3 * MIB), /larger than max/],
    ] as const) {
      const trunk = new HandTrunk(connector, portOf('cloud').at.address);
      await trunk.greet();
      trunk.sendBytes(bytes);
      const fault = await trunk.closed;
      expect(fault?.message).to.match(words);
    }
    const greedy = new HandTrunk(connector, portOf('cloud').at.address);
    await greedy.greet();
    for (const id of [5, 5]) greedy.channel(id, actor.certificate.der);
    expect((await greedy.closed)?.message).to.match(/channel 5 was used before/);
  });

  // After all the others.
  describe('in the end', () => {
    it('whoever says nothing does not keep its connection', async function () {
      this.timeout(minutes(1));
      const lifetimes = await Promise.all(loris);
      expect(lifetimes.length).to.equal(6);
      expect(Math.max(...lifetimes)).to.be.lessThan(HANDSHAKE + seconds(10));
      expect(Math.min(...lifetimes), 'they are given their time').to.be.greaterThan(HANDSHAKE / 2);
    });

    it('meanwhile nobody else has noticed anything', async () => {
      for (const hub of [direct, carried]) {
        await untilReports(mesh, hub.machineId);
        expect(await hub.process.log(), hub.name).to.not.match(/path is lost/);
      }
      await expectExactlyOnce(mesh, [direct, carried]);
    });
  });
});
