// The ways a hub can take to the cloud, each as a route that can be opened: a connection with mutual TLS and a session on
// it that is up. Which one is taken, and when, is decided in path-finder.ts.
import { LinkServiceService, Path } from '../../gen/occmesh/link/v1/link.js';
import type { ConnectorDirectory } from '../discovery/directory.js';
import { type ConnectorHint, formatAddress } from '../discovery/hint.js';
import type { MeshCertificate } from '../identity/certificates.js';
import type { Clock } from '../kernel/clock.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import { type Credentials, openStream } from '../link/dial.js';
import { LinkFault } from '../link/fault.js';
import { HubSession } from '../link/hub-session.js';
import { StreamPipe } from '../link/stream-pipe.js';
import type { CarrierAddress } from '../membership/carrier.js';
import type { Member } from './member.js';
import { type LiveSession, PathFailure, type Route } from './path-finder.js';

export interface RoutesOptions {
  /** host:port of the cloud. */
  readonly cloud: string;
  /** By the hub's own configuration. */
  readonly directAllowed: boolean;
  /** For the direct path. */
  readonly proxy?: string;
}

export interface RoutesModules {
  readonly directory: ConnectorDirectory;
  /** As of now: a renewal replaces the certificate. */
  readonly credentials: () => Credentials;
  readonly isRevoked: (keyId: Buffer) => boolean;
  readonly newMember: (path: Path) => Member;
  /** The session of this member is up. */
  readonly onUp: (member: Member) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

type Way = Path.CONNECTOR | Path.DIRECT;

export class Routes {
  readonly direct: Route;

  constructor(
    private readonly options: RoutesOptions,
    private readonly modules: RoutesModules,
  ) {
    const { cloud } = options;
    this.direct = {
      name: `direct ${cloud}`,
      open: async (signal) => (await this.#open(cloud, Path.DIRECT, signal)).session,
    };
  }

  /** Connectors: what is known first; only when all of that has failed, the network is asked. */
  async *connectors(signal: AbortSignal): AsyncGenerator<Route> {
    const { directory } = this.modules;
    const tried = new Set<string>();
    for (const hints of [async () => directory.known(), () => directory.candidates(signal)]) {
      for (const hint of await hints()) {
        const address = formatAddress(hint);
        if (tried.has(address)) continue;
        tried.add(address);
        yield { name: `connector ${address}`, open: (stop) => this.#connector(hint, address, stop) };
      }
    }
  }

  /** For requests that need no session: every connector that can be found, then the cloud if that is allowed here. */
  async *carriers(): AsyncGenerator<CarrierAddress> {
    const never = new AbortController().signal;
    for (const hint of await this.modules.directory.candidates(never)) {
      yield { address: formatAddress(hint), role: 'connector' };
    }
    if (this.options.directAllowed) yield { address: this.options.cloud, role: 'cloud' };
  }

  async #connector(hint: ConnectorHint, address: string, signal: AbortSignal): Promise<LiveSession> {
    const { session, peer } = await this.#open(address, Path.CONNECTOR, signal);
    await this.modules.directory.remember({ ...hint, ...(peer ? { machineId: peer.identity.machineId } : {}) });
    return session;
  }

  /** Rejects with PathFailure when no session comes up. */
  async #open(
    address: string,
    way: Way,
    signal: AbortSignal,
  ): Promise<{ readonly session: HubSession; readonly peer: MeshCertificate | undefined }> {
    const { credentials, isRevoked, newMember, onUp, clock, random, log } = this.modules;
    const own = credentials();
    const { mesh, customerId } = own.certificate.identity;
    const { proxy } = this.options;
    let peer: MeshCertificate | undefined;
    const stream = openStream(
      LinkServiceService.link,
      {
        address,
        credentials: own,
        expected:
          way === Path.DIRECT ? { mesh, role: 'cloud', isRevoked } : { mesh, role: 'connector', customerId, isRevoked },
        onPeer: (verified) => {
          peer = verified;
        },
        ...(way === Path.DIRECT && proxy !== undefined ? { proxy } : {}),
      },
      { clock, log },
    );
    const giveUp = () => stream.close(new LinkFault('link.going-away', 'the hub is being stopped'));
    signal.addEventListener('abort', giveUp, { once: true });
    void stream.closed.then(() => signal.removeEventListener('abort', giveUp));
    const member = newMember(way);
    const session = new HubSession({ pipe: new StreamPipe(stream), member, clock, nonce: random.bytes(32), log });
    const failed = await session.opened;
    if (failed) throw new PathFailure(failed);
    onUp(member);
    return { session, peer };
  }
}
