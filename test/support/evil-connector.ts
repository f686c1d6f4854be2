// A connector whose operator is evil: it has the real one's certificate and place, and does with what it carries whatever
// a test tells it. Built from the same parts as the real one (listener, trunk), without its manners.
import { join } from 'node:path';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { CloseCode, TrunkServiceService } from '../../gen/occmesh/trunk/v1/trunk.js';
import { lanAuthenticator } from '../../src/connector/lan-service.js';
import { type ChannelHandlers, type HubChannel, TrunkLink, type TrunkStream } from '../../src/connector/trunk-link.js';
import type { ByteStream } from '../../src/contract/byte-stream.js';
import { GrpcChannel } from '../../src/contract/channel.js';
import { loadDescriptors } from '../../src/contract/descriptors.js';
import type { CallContext } from '../../src/contract/handlers.js';
import { LAN_LIMITS } from '../../src/contract/limits.js';
import { GrpcListener } from '../../src/contract/listener.js';
import type { LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { clientIdentity, judgeServer } from '../../src/identity/tls.js';
import { systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { systemRandom } from '../../src/kernel/random.js';
import { Scope, type Stoppable } from '../../src/kernel/scope.js';
import { peekLane } from '../../src/link/envelope.js';
import { ending } from '../../src/link/pipe.js';
import { endingOfFault, faultOfEnding } from '../../src/link/stream-pipe.js';
import { type Membership, requireMembership } from '../../src/membership/machine-files.js';

/** One hub's session, as the carrier sees it: bytes both ways, in the order in which they came. */
export interface Carried {
  readonly hub: string;
  /** DER. */
  readonly certificate: Buffer;
  readonly ups: Uint8Array[];
  readonly downs: Uint8Array[];
  /** Hands bytes to the cloud, or to the hub; as often as it likes. */
  toCloud(envelope: Uint8Array): void;
  toHub(envelope: Uint8Array): void;
}

/** What to do with an envelope instead of passing it on. */
export interface Mischief {
  readonly opened?: (session: Carried) => void;
  readonly up?: (envelope: Uint8Array, session: Carried) => void;
  readonly down?: (envelope: Uint8Array, session: Carried) => void;
}

const modules = { clock: systemClock, random: systemRandom, log: silentLogger };

export class EvilConnector implements Stoppable {
  /** What it does with sessions from now on; nothing: it is a good carrier. */
  mischief: Mischief = {};
  /** Every session that it has carried, also those that are over. */
  readonly sessions: Carried[] = [];
  readonly #scope = new Scope();

  private constructor(
    readonly membership: Membership,
    private readonly trunk: TrunkLink,
  ) {}

  /** In the place of the mesh's own connector, which must have been stopped. */
  static async start(mesh: LocalMesh): Promise<EvilConnector> {
    const membership = await requireMembership(join(mesh.options.directory, 'connector', 'connector'));
    const { trust, certificate, identity: key } = membership;
    let channel: GrpcChannel | undefined;
    const trunk = new TrunkLink({
      ...modules,
      dial: async () => {
        await channel?.stop();
        const expected = { mesh: certificate.identity.mesh, role: 'cloud' } as const;
        const judge = judgeServer(trust, expected, () => systemClock.now());
        const tls = { ...clientIdentity(certificate, key, trust), judgeServer: judge };
        channel = new GrpcChannel({ address: membership.record.cloud, tls }, modules);
        return trunkStream(channel.byteStream(TrunkServiceService.trunk));
      },
      hello: () => ({
        bootId: systemRandom.bytes(16),
        lanAddresses: [`127.0.0.1:${mesh.connectorPort}`],
        software: 'evil',
        clockMs: systemClock.now(),
      }),
      onWelcome: () => undefined,
    });
    const evil = new EvilConnector(membership, trunk);
    evil.#scope.defer(async () => channel?.stop());
    const { customerId } = certificate.identity;
    const listener = new GrpcListener(
      {
        host: '127.0.0.1',
        port: mesh.connectorPort,
        key: key.toPem(),
        cert: certificate.pem,
        ca: trust.pems.join(''),
        limits: LAN_LIMITS,
        access: {
          rules: loadDescriptors().accessRules(),
          authenticate: lanAuthenticator({ trust, customerId, isRevoked: () => false, clock: systemClock }),
        },
      },
      modules,
    );
    listener.add(LinkServiceService, { link: (stream, context) => evil.#carry(stream, context) });
    await listener.start();
    evil.#scope.own(listener);
    evil.#scope.run((signal) => trunk.run(signal));
    await until(
      async () => trunk.state === 'up',
      seconds(20),
      systemClock,
      () => 'the evil connector has no trunk',
    );
    return evil;
  }

  /** A channel of its own, without any hub behind it. */
  open(certificate: Uint8Array, handlers: ChannelHandlers): HubChannel {
    const channel = this.trunk.open({ certificate, address: '127.0.0.1:1' }, handlers);
    if (!channel) throw new Error('no trunk');
    return channel;
  }

  stop(): Promise<void> {
    return this.#scope.stop();
  }

  async #carry(stream: ByteStream, { principal }: CallContext): Promise<void> {
    if (principal.kind !== 'machine') throw new Error('not a hub');
    let channel: HubChannel | undefined;
    const session: Carried = {
      hub: principal.machineId,
      certificate: Buffer.from(principal.certificate),
      ups: [],
      downs: [],
      toCloud: (envelope) => channel?.send(envelope, peekLane(envelope)),
      toHub: (envelope) => void stream.write(envelope),
    };
    this.sessions.push(session);
    channel = this.open(session.certificate, {
      envelope: (bytes) => {
        session.downs.push(Uint8Array.from(bytes));
        if (this.mischief.down) this.mischief.down(bytes, session);
        else session.toHub(bytes);
      },
      closed: (why) => (why.code === CloseCode.DONE ? stream.end() : stream.close(faultOfEnding(why))),
    });
    this.mischief.opened?.(session);
    try {
      await stream.forEach((bytes) => {
        session.ups.push(Uint8Array.from(bytes));
        if (this.mischief.up) this.mischief.up(bytes, session);
        else session.toCloud(bytes);
      });
    } finally {
      channel.close(ending(CloseCode.DONE, 'the hub has gone'));
    }
  }
}

const trunkStream = (stream: ByteStream): TrunkStream => ({
  write: (message) => void stream.write(message),
  get bufferedBytes() {
    return stream.bufferedBytes;
  },
  drained: () => stream.drained(),
  end: () => stream.end(),
  listen: (handlers) => {
    const take = (bytes: Uint8Array): void => handlers.message(bytes);
    stream.forEach(take).catch(() => undefined);
    void stream.closed.then((fault) => handlers.closed(endingOfFault(fault)));
  },
});
