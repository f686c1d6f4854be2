// A connector's trunk on the cloud's side: opens a hub session per channel, hands frames to it, and takes its answers.
// Never stops reading: what arrives is bounded by windows and credit, not by backpressure on everybody.
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { CloseCode, type Frame, type Open, TrunkFrames, type TrunkHello } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import { uuidBytes } from '../../identity/uuid.js';
import { keep } from '../../kernel/bytes.js';
import type { Timer } from '../../kernel/clock.js';
import { milliseconds } from '../../kernel/duration.js';
import { describe, toError } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import { CloudSession } from '../../link/cloud-session.js';
import { endingOf, LinkFault } from '../../link/fault.js';
import { agreeOnCapabilities, agreeOnVersion, SPEAKS, type Speaks } from '../../link/negotiation.js';
import { type Ending, ending, type Pipe, type PipeHandlers } from '../../link/pipe.js';
import { MAX_SELF_DESCRIPTION } from '../../link/version.js';
import { type FrameOwner, FrameQueue, type MessageSink } from '../../trunk/frame-queue.js';
import {
  MAX_CHANNELS,
  MAX_DOWNLINK_BYTES,
  MAX_MESSAGE_FRAMES,
  MAX_TRUNK_DOWNLINK_BYTES,
  MAX_TRUNK_DOWNLINK_FRAMES,
  TRUNK_CHANNEL,
  TRUNK_HEARTBEAT_MS,
} from '../../trunk/limits.js';
import { reasonOf } from '../metrics.js';
import type { MachineBudget } from './budget.js';
import { type Connector, HubHost } from './hub-host.js';
import type { SessionServices } from './services.js';

/** The transport of one trunk. */
export interface TrunkTransport extends MessageSink {
  end(why: Ending): void;
}

/** One channel of a trunk, as a pipe. */
class Channel implements Pipe, FrameOwner {
  /** Counted by the queue: what of this hub waits for the connector. */
  queuedBytes = 0;
  #handlers: PipeHandlers | undefined;
  #open = true;

  constructor(
    private readonly id: number,
    private readonly queue: FrameQueue,
    private readonly forget: () => void,
  ) {}

  listen(handlers: PipeHandlers): void {
    this.#handlers = handlers;
  }

  send(envelope: Uint8Array, lane: Lane): void {
    if (!this.#open) return;
    this.queue.push({ channel: this.id, body: { $case: 'envelope', value: envelope } }, lane, envelope.length, this);
    if (this.queuedBytes > MAX_DOWNLINK_BYTES) this.close(ending(CloseCode.SLOW, 'this hub does not read'));
  }

  async drained(): Promise<void> {}

  close(why: Ending): void {
    if (!this.#open) return;
    const value = { code: why.code, message: why.message, retryAfterMs: why.retryAfterMs };
    this.queue.push({ channel: this.id, body: { $case: 'close', value } }, Lane.CONTROL);
    this.ended(why);
  }

  arrived(envelope: Uint8Array): void {
    if (this.#open) this.#handlers?.message(envelope);
  }

  /** The channel is over, whoever said so. */
  ended(why: Ending): void {
    if (!this.#open) return;
    this.#open = false;
    this.forget();
    this.#handlers?.closed(why);
  }
}

export class TrunkHost implements Connector {
  readonly connectorId: string;
  /** As the store's keys name it. */
  readonly customer: Buffer;
  readonly machine: Buffer;
  readonly #queue: FrameQueue;
  readonly #channels = new Map<number, Channel>();
  readonly #log: Logger;
  readonly #budget: MachineBudget;
  #highest = TRUNK_CHANNEL;
  #greeted = false;
  #ended = false;
  #silence: Timer | undefined;

  constructor(
    private readonly services: SessionServices,
    private readonly certificate: MeshCertificate,
    private readonly transport: TrunkTransport,
    private readonly speaks: Speaks = SPEAKS,
  ) {
    this.connectorId = certificate.identity.machineId;
    this.customer = keep(uuidBytes(certificate.identity.customerId));
    this.machine = keep(uuidBytes(certificate.identity.machineId));
    this.#queue = new FrameQueue(transport, () => services.metrics.stalls.add(1));
    this.#log = services.log.child({ connector: this.connectorId });
    this.#budget = services.budgets.of(this.connectorId);
    this.#heard();
  }

  /** One message of the connector. */
  received(message: Uint8Array): void {
    if (this.#ended) return;
    // Whoever has not said hello has no other way to stay.
    if (this.#greeted) this.#heard();
    try {
      for (const frame of decodeFrames(message)) {
        this.#frame(frame);
        if (this.#ended) return;
      }
      const { queuedBytes, queuedFrames } = this.#queue;
      if (queuedBytes > MAX_TRUNK_DOWNLINK_BYTES || queuedFrames > MAX_TRUNK_DOWNLINK_FRAMES) {
        throw new LinkFault('link.exhausted', 'the connector does not read what it is sent');
      }
    } catch (thrown) {
      this.services.metrics.refused.add(1, { reason: reasonOf(thrown) });
      this.#log.warn({ cause: describe(thrown) }, 'trunk broken');
      this.end(endingOf(thrown));
    }
  }

  /** Ends the trunk and every session on it. */
  end(why: Ending): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#silence?.disarm();
    this.services.trunks.leave(this);
    const gone = ending(CloseCode.GOING_AWAY, 'the trunk has ended');
    for (const channel of [...this.#channels.values()]) channel.ended(gone);
    this.#queue.push({ channel: TRUNK_CHANNEL, body: { $case: 'bye', value: { reason: why.message } } }, Lane.CONTROL);
    this.#queue.close();
    this.transport.end(why);
  }

  #frame({ channel: id, body }: Frame): void {
    if (!body) throw new LinkFault('link.protocol', 'a frame without content, or of a newer protocol version');
    if (!this.#greeted && body.$case !== 'hello') throw new LinkFault('link.protocol', 'a trunk begins with hello');
    switch (body.$case) {
      case 'hello':
        return this.#hello(body.value);
      case 'open':
        return this.#open(id, body.value);
      case 'envelope':
        // On a channel that has ended it has crossed the close; on one that never was opened it cannot have.
        if (id > this.#highest) throw new LinkFault('link.protocol', `channel ${id} has not been opened`);
        // A copy: what waits to be stored must not keep the whole message, which a connector can fill with anything.
        return this.#channels.get(id)?.arrived(keep(body.value));
      case 'close':
        return this.#channels.get(id)?.ended(ending(body.value.code, shortened(body.value.message)));
      case 'heartbeat':
        this.#budget.spend('frames');
        this.services.presence.heartbeat(this.connectorId, {
          queuedReadings: 0,
          queuedAgeMs: 0,
          clockMs: this.services.clock.now(),
        });
        return this.#queue.push(
          { channel: TRUNK_CHANNEL, body: { $case: 'heartbeatAnswer', value: body.value } },
          Lane.CONTROL,
        );
      case 'bye':
        this.services.trunks.goodbye(this);
        return this.end(ending(CloseCode.DONE, 'goodbye'));
      default:
        throw new LinkFault('link.protocol', `${body.$case} is not for the cloud`);
    }
  }

  #hello(hello: TrunkHello): void {
    if (this.#greeted) throw new LinkFault('link.protocol', 'a second hello');
    const spoken = hello.versions.length > 0 ? hello.versions : [hello.version];
    const version = agreeOnVersion(
      { role: 'connector', versions: spoken },
      { role: 'cloud', versions: this.speaks.versions },
    );
    const capabilities = agreeOnCapabilities(this.speaks.capabilities, hello.capabilities);
    const addresses = hello.lanAddresses.join();
    if (hello.software.length > MAX_SELF_DESCRIPTION || addresses.length > 16 * MAX_SELF_DESCRIPTION) {
      throw new LinkFault('link.protocol', 'a hello that says too much of itself');
    }
    const { services, certificate } = this;
    // It may have been retired since its connection was let in; from now on it would be told.
    if (services.inventory.isRevoked(certificate.key.keyId)) {
      throw new LinkFault('link.refused', 'this connector has been retired');
    }
    this.#greeted = true;
    services.metrics.trunksOpened.add(1);
    this.#heard();
    services.trunks.take(this, hello);
    this.#queue.push(
      {
        channel: TRUNK_CHANNEL,
        body: {
          $case: 'welcome',
          value: {
            revokedKeys: services.inventory.revokedKeys(certificate.identity.customerId),
            heartbeatMs: TRUNK_HEARTBEAT_MS,
            clockMs: services.clock.now(),
            software: services.software,
            version,
            capabilities,
          },
        },
      },
      Lane.CONTROL,
    );
    this.#log.info({ software: hello.software, lan: hello.lanAddresses }, 'connector is up');
  }

  #open(id: number, open: Open): void {
    if (id <= this.#highest) throw new LinkFault('link.protocol', `channel ${id} was used before`);
    if (this.#channels.size >= MAX_CHANNELS) throw new LinkFault('link.exhausted', 'too many hubs on one trunk');
    this.#highest = id;
    const channel = new Channel(id, this.#queue, () => this.#channels.delete(id));
    this.#channels.set(id, channel);
    try {
      this.#budget.spend('channels');
      this.services.reception.check(this.certificate.identity.customerId);
      const peer = this.#admissible(open.certificate);
      const host = new HubHost(this.services, { connector: this, peer });
      const { clock, random } = this.services;
      new CloudSession({ pipe: channel, host, clock, random, speaks: this.speaks });
    } catch (thrown) {
      // That hub's fault, not the trunk's.
      const details = { address: shortened(open.address), cause: describe(thrown) };
      this.services.metrics.refused.add(1, { reason: reasonOf(thrown) });
      this.#budget.oddities.note(details, 'hub refused', 'warn');
      channel.close(endingOf(thrown));
      // To refuse costs something, too: a trunk that is good for little else ends.
      this.#budget.spend('refusals');
    }
  }

  /** The hub's certificate, when it is a hub of this connector's customer that is welcome. */
  #admissible(der: Uint8Array): MeshCertificate {
    const peer = this.services.trust.hub(der);
    if (peer.identity.customerId !== this.certificate.identity.customerId) {
      throw new LinkFault('link.refused', 'this hub is not of the customer of this connector');
    }
    if (this.services.inventory.isRevoked(peer.key.keyId))
      throw new LinkFault('link.refused', 'this machine has been retired; enrol it again with a new token');
    return peer;
  }

  #heard(): void {
    this.#silence?.disarm();
    this.#silence = this.services.clock.after(milliseconds(3 * TRUNK_HEARTBEAT_MS), () => {
      this.#log.warn('connector fell silent');
      this.end(ending(CloseCode.GOING_AWAY, 'no sign of life'));
    });
  }
}

/** What a connector says, for the log. */
const shortened = (text: string): string => text.slice(0, MAX_SELF_DESCRIPTION);

function decodeFrames(message: Uint8Array): Frame[] {
  const { frames } = parsed(message);
  if (frames.length <= MAX_MESSAGE_FRAMES) return frames;
  throw new LinkFault('link.protocol', `a trunk message with ${frames.length} frames`);
}

function parsed(message: Uint8Array): TrunkFrames {
  try {
    return TrunkFrames.decode(message);
  } catch (cause) {
    throw new LinkFault('link.protocol', `a trunk message does not parse: ${toError(cause).message}`, { cause });
  }
}
