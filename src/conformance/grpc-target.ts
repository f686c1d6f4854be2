// A target that listens somewhere: gRPC over mutual TLS. Nothing of what is said is looked at here.
import {
  EnrollmentServiceService,
  type EnrollmentToken,
  type Sealed,
  type SealedAnswer,
} from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { TrunkServiceService } from '../../gen/occmesh/trunk/v1/trunk.js';
import { GrpcChannel } from '../contract/channel.js';
import { ContractFault } from '../contract/fault.js';
import type { AnyMethod } from '../contract/service.js';
import { MeshCertificate, TrustBundle } from '../identity/certificates.js';
import { judgeServer, type PeerExpectation } from '../identity/tls.js';
import { uuidText } from '../identity/uuid.js';
import { type Clock, sleep } from '../kernel/clock.js';
import { milliseconds, seconds } from '../kernel/duration.js';
import { silentLogger as log } from '../kernel/log.js';
import { openStream } from '../link/dial.js';
import type { End, PlayedHub, Target, Wire } from './bench.js';

const MOST_TRIES = 20;

export class GrpcTarget implements Target {
  private constructor(
    private readonly address: string,
    readonly role: 'cloud' | 'connector',
    private readonly token: EnrollmentToken,
    private readonly clock: Clock,
  ) {}

  /** Finds out which of the two it is. Faults: contract.unavailable, contract.untrusted-peer. */
  static async find(address: string, token: EnrollmentToken, clock: Clock): Promise<GrpcTarget> {
    const asCloud = new GrpcTarget(address, 'cloud', token, clock);
    const nothing = { encapsulatedKey: new Uint8Array(0), ciphertext: new Uint8Array(0) };
    try {
      await asCloud.enrol('enrol', nothing);
    } catch (thrown) {
      if (!(thrown instanceof ContractFault) || thrown.code === 'contract.unavailable') throw thrown;
      if (thrown.code === 'contract.untrusted-peer') return new GrpcTarget(address, 'connector', token, clock);
    }
    return asCloud;
  }

  open(hub: PlayedHub): Wire {
    return this.#wire(LinkServiceService.link, hub);
  }

  openTrunk(connector: Pick<PlayedHub, 'key' | 'certificate' | 'trust'>): Wire {
    return this.#wire(TrunkServiceService.trunk, connector);
  }

  /** Comes again where it is asked to wait. */
  async enrol(method: 'enrol' | 'renew', request: Sealed): Promise<SealedAnswer> {
    const trust = new TrustBundle(this.token.caCertificates);
    const tls = { ca: trust.pems, judgeServer: judgeServer(trust, this.#expected(), () => this.clock.now()) };
    for (let tries = 0; ; tries++) {
      const channel = new GrpcChannel({ address: this.address, tls }, { clock: this.clock, log });
      try {
        return await channel.unary(EnrollmentServiceService[method], request, { within: seconds(15) });
      } catch (thrown) {
        const wait = thrown instanceof ContractFault ? thrown.retryAfter : undefined;
        if (wait === undefined || tries === MOST_TRIES) throw thrown;
        await sleep(this.clock, wait);
      } finally {
        await channel.stop();
      }
    }
  }

  #wire(method: AnyMethod, { certificate, key, trust }: Pick<PlayedHub, 'key' | 'certificate' | 'trust'>): Wire {
    const credentials = { certificate: MeshCertificate.parse(certificate), key, trust };
    const stream = openStream(
      method,
      { address: this.address, credentials, expected: this.#expected() },
      { clock: this.clock, log },
    );
    const messages = stream[Symbol.asyncIterator]();
    return {
      ended: stream.closed.then(endOf),
      send: (message) => void stream.write(message),
      receive: async () => {
        try {
          const { value, done } = await messages.next();
          return done ? undefined : value;
        } catch {
          return undefined;
        }
      },
      close: () => stream.close(new Error('cut')),
    };
  }

  #expected(): PeerExpectation {
    const mesh = new TrustBundle(this.token.caCertificates).meshes[0] ?? '';
    const { role } = this;
    return role === 'cloud' ? { mesh, role } : { mesh, role, customerId: uuidText(this.token.customerId) };
  }
}

function endOf(fault: ContractFault | undefined): End {
  if (!fault) return { reason: '', message: '', retryAfterMs: 0 };
  const retryAfterMs = fault.retryAfter ?? milliseconds(0);
  // Where the transport has ended it, there is no reason of the contract's.
  return { reason: fault.reason ?? fault.code, message: fault.message, retryAfterMs };
}
