// What a connector serves in its LAN: hub sessions, passed on as opaque bytes, and sealed enrolment requests. It knows
// who connects (mutual TLS) and how much waits; it reads nothing else.
import type { Sealed, SealedAnswer } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import type { ByteStream } from '../contract/byte-stream.js';
import { ANONYMOUS, type Authenticate } from '../contract/callers.js';
import { ContractFault } from '../contract/fault.js';
import type { CallContext } from '../contract/handlers.js';
import { RateLimit, type RateLimitOptions, sourceOf } from '../contract/rate-limit.js';
import type { TrustBundle } from '../identity/certificates.js';
import { judgePeer } from '../identity/tls.js';
import type { Clock } from '../kernel/clock.js';
import { seconds } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';
import { MAX_ENVELOPE_BYTES, peekLane } from '../link/envelope.js';
import { type Ending, ending } from '../link/pipe.js';
import { faultOfEnding } from '../link/stream-pipe.js';
import {
  MAX_CHANNELS,
  MAX_DOWNLINK_BYTES,
  MAX_TRUNK_UPLINK_BYTES,
  MAX_UPLINK_BYTES,
  SHARE_OF_UPLINK_BYTES,
} from '../trunk/limits.js';
import type { TrunkLink } from './trunk-link.js';

/** Passes a sealed request on to the cloud. Rejects with ContractFault when there is no way to it. */
export type Relay = (method: 'enrol' | 'renew', sealed: Sealed, signal: AbortSignal) => Promise<SealedAnswer>;

/** Hubs of the connector's own customer that are not revoked; anybody else has no identity here. */
export function lanAuthenticator(modules: {
  readonly trust: TrustBundle;
  readonly customerId: string;
  readonly isRevoked: (keyId: Buffer) => boolean;
  readonly clock: Clock;
}): Authenticate {
  const { trust, customerId, isRevoked, clock } = modules;
  return ({ certificate }) => {
    if (!certificate) return ANONYMOUS;
    // A connector that wakes up in 1970 must carry hubs all the same; the cloud judges them by its own clock.
    const verified = trust.verify(certificate, clock.now(), { allowNotYetValid: true });
    const mesh = trust.meshes[0] ?? '';
    const fault = judgePeer(verified, { mesh, role: 'hub', customerId, isRevoked });
    if (fault)
      throw new ContractFault('contract.denied', fault.message, { cause: fault, permanent: true, reason: 'REFUSED' });
    const { machineId } = verified.identity;
    return {
      kind: 'machine',
      role: 'hub',
      machineId,
      customerId,
      certificate: verified.der,
      keyId: verified.key.keyId,
    };
  };
}

/** What hubs are told meanwhile. They ask again soon: it costs nobody but this connector anything. */
export const NO_CLOUD: Ending = ending(CloseCode.NO_CLOUD, 'this connector has no way to the cloud now', seconds(5));

/**
 * How often a hub may open a channel, which costs a place on the trunk until the cloud has heard its Hello, or has waited
 * for it: one that only opens must not take the places of all others, nor what the cloud lets this connector open.
 */
const LINK_RATE: RateLimitOptions = {
  perSource: { burst: 30, perSecond: 1 },
  overall: { burst: 2 * MAX_CHANNELS, perSecond: 150 },
};

/** LinkService, carried. Faults: contract.exhausted, with the time to wait. */
export function carriedLinks(
  trunk: Pick<TrunkLink, 'open' | 'queuedBytes'>,
  modules: { readonly clock: Clock; readonly log: Logger },
) {
  const rate = new RateLimit(LINK_RATE, modules);
  return {
    link: async (stream: ByteStream, context: CallContext): Promise<void> => {
      const { principal } = context;
      if (principal.kind !== 'machine') throw new ContractFault('contract.denied', 'only hubs hold sessions');
      const retryAfter = rate.take(principal.machineId);
      if (retryAfter !== undefined) {
        throw faultOfEnding(ending(CloseCode.EXHAUSTED, 'too many sessions of this hub', Math.ceil(retryAfter)));
      }
      await carry(
        trunk,
        stream,
        { hub: principal.machineId, certificate: principal.certificate, address: context.peer },
        modules.log,
      );
    },
  };
}

interface LanPeer {
  readonly hub: string;
  readonly certificate: Buffer;
  readonly address: string;
}

async function carry(
  trunk: Pick<TrunkLink, 'open' | 'queuedBytes'>,
  stream: ByteStream,
  { hub, certificate, address }: LanPeer,
  log: Logger,
): Promise<void> {
  const channel = trunk.open(
    { certificate, address },
    {
      envelope: (bytes) => {
        stream.write(bytes);
        if (stream.bufferedBytes <= MAX_DOWNLINK_BYTES) return;
        log.warn({ hub, bytes: stream.bufferedBytes }, 'hub does not read: its session is closed');
        const slow = ending(CloseCode.SLOW, 'this hub does not read what is sent to it');
        channel?.close(slow);
        stream.close(faultOfEnding(slow));
      },
      closed: (why) => {
        if (why.code === CloseCode.DONE) stream.end();
        else stream.close(faultOfEnding(why));
      },
    },
  );
  if (!channel) throw faultOfEnding(NO_CLOUD);
  log.debug({ hub, address }, 'hub connected');
  try {
    await stream.forEach((bytes) => {
      const most = trunk.queuedBytes > MAX_TRUNK_UPLINK_BYTES ? SHARE_OF_UPLINK_BYTES : MAX_UPLINK_BYTES;
      if (bytes.length > MAX_ENVELOPE_BYTES || channel.queuedBytes > most) {
        throw faultOfEnding(ending(CloseCode.EXHAUSTED, 'more was sent than window and credit allow'));
      }
      channel.send(bytes, peekLane(bytes));
    });
  } finally {
    channel.close(ending(CloseCode.DONE, 'the hub has gone'));
    log.debug({ hub }, 'hub disconnected');
  }
}

/**
 * Anybody in the LAN may have something relayed, and to the cloud all of it comes from this connector: together less than
 * the cloud takes from one source, and one machine only a small part of that, so that it cannot keep the others out.
 */
const RELAY_RATE: RateLimitOptions = {
  perSource: { burst: 10, perSecond: 0.5 },
  overall: { burst: 40, perSecond: 8 },
};

/** EnrollmentService, relayed. Faults: contract.exhausted, with the time to wait; those of `relay`. */
export function relayedEnrollment(relay: Relay, modules: { readonly clock: Clock }) {
  const rate = new RateLimit(RELAY_RATE, modules);
  const bounded = (method: 'enrol' | 'renew') => {
    return async (request: Sealed, { signal, peer }: Pick<CallContext, 'signal' | 'peer'>): Promise<SealedAnswer> => {
      const retryAfter = rate.take(sourceOf(peer));
      if (retryAfter !== undefined) {
        throw new ContractFault('contract.exhausted', 'too many requests for enrolment', { retryAfter });
      }
      return relay(method, request, signal);
    };
  };
  return { enrol: bounded('enrol'), renew: bounded('renew') };
}
