// A connector of a swarm without its LAN: the real trunk to the cloud, over its own TLS connection, and hubs of the same
// process on its channels, where a real connector has a TLS connection to each.
import { Path } from '../../../gen/occmesh/link/v1/link.js';
import { TrunkServiceService } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { NO_CLOUD } from '../../../src/connector/lan-service.js';
import { type HubChannel, TrunkLink, type TrunkStream } from '../../../src/connector/trunk-link.js';
import { type LiveSession, PathFailure } from '../../../src/hub/path-finder.js';
import { silentLogger as log } from '../../../src/kernel/log.js';
import { SOFTWARE } from '../../../src/kernel/software.js';
import { openStream } from '../../../src/link/dial.js';
import { peekLane } from '../../../src/link/envelope.js';
import { HubSession } from '../../../src/link/hub-session.js';
import type { Ending, Pipe, PipeHandlers } from '../../../src/link/pipe.js';
import { endingOfFault } from '../../../src/link/stream-pipe.js';
import type { Membership } from '../../../src/membership/machine-files.js';
import type { Search, SwarmHub, SwarmModules } from './hub.js';

export class SwarmTrunk {
  readonly link: TrunkLink;

  constructor(
    membership: Membership,
    private readonly modules: SwarmModules,
  ) {
    const { clock, random } = modules;
    const bootId = random.bytes(16);
    this.link = new TrunkLink({
      dial: async () => dial(membership, modules),
      // As where it would be reached; nobody tries.
      hello: () => ({
        bootId,
        lanAddresses: ['192.0.2.1:11000'],
        software: SOFTWARE,
        clockMs: clock.now(),
      }),
      onWelcome: () => undefined,
      clock,
      random,
      log,
    });
  }

  /** The one way of a hub behind it. */
  searchFor(hub: SwarmHub): Search {
    const { clock, random } = this.modules;
    const open = async (): Promise<LiveSession> => {
      const pipe = new ChannelPipe(this.link, hub.membership.certificate.der);
      const session = new HubSession({
        pipe,
        member: hub.newMember(Path.CONNECTOR),
        clock,
        nonce: random.bytes(32),
        log,
      });
      const failed = await session.opened;
      if (failed) throw new PathFailure(failed);
      return session;
    };
    return async function* search() {
      yield { name: 'trunk', open };
    };
  }
}

function dial({ certificate, identity: key, trust, record }: Membership, modules: SwarmModules): TrunkStream {
  const stream = openStream(
    TrunkServiceService.trunk,
    {
      address: record.cloud,
      credentials: { certificate, key, trust },
      expected: { mesh: certificate.identity.mesh, role: 'cloud' },
    },
    { ...modules, log },
  );
  return {
    write: (message) => void stream.write(message),
    get bufferedBytes() {
      return stream.bufferedBytes;
    },
    drained: () => stream.drained(),
    end: () => stream.end(),
    listen: ({ message, closed }) => {
      stream.forEach(message).catch(() => undefined);
      void stream.closed.then((fault) => closed(endingOfFault(fault)));
    },
  };
}

/** A channel of a trunk as a hub's pipe. */
class ChannelPipe implements Pipe {
  #handlers: PipeHandlers | undefined;
  #channel: HubChannel | undefined;

  constructor(
    private readonly link: TrunkLink,
    private readonly certificate: Buffer,
  ) {}

  listen(handlers: PipeHandlers): void {
    this.#handlers = handlers;
    this.#channel = this.link.open(
      { certificate: this.certificate, address: '192.0.2.2:1' },
      { envelope: (bytes) => handlers.message(bytes), closed: (why) => this.#finish(why) },
    );
    // As a connector without a cloud says it.
    if (!this.#channel) setImmediate(() => this.#finish(NO_CLOUD));
  }

  send(envelope: Uint8Array): void {
    this.#channel?.send(envelope, peekLane(envelope));
  }

  get queuedBytes(): number {
    return this.#channel?.queuedBytes ?? 0;
  }

  drained(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  close(why: Ending): void {
    this.#channel?.close(why);
    this.#finish(why);
  }

  #finish(why: Ending): void {
    const handlers = this.#handlers;
    this.#handlers = undefined;
    handlers?.closed(why);
  }
}
