// How a machine brings a sealed request to the cloud: through whatever answers, a connector or the cloud itself. Before
// anything is sent, the other side's certificate is verified against the CA that the machine trusts.
import { EnrollmentServiceService } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { GrpcChannel } from '../contract/channel.js';
import type { TrustBundle } from '../identity/certificates.js';
import { judgeServer } from '../identity/tls.js';
import type { Clock } from '../kernel/clock.js';
import { seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { EnrollmentCall } from './enrol.js';
import { MembershipFault } from './fault.js';

/** One place to try. */
export interface CarrierAddress {
  /** host:port. */
  readonly address: string;
  readonly role: 'connector' | 'cloud';
}

export interface CarrierOptions {
  readonly trust: TrustBundle;
  readonly customerId: string;
  /** In the order of trying; may look further when those before have failed. */
  readonly addresses: () => AsyncIterable<CarrierAddress>;
  /** For the cloud only. */
  readonly proxy?: string;
}

const WITHIN = seconds(15);

/** Tries one address after another. The call rejects with membership.unreachable when nobody has answered. */
export function carrierCall(options: CarrierOptions, modules: { clock: Clock; log: Logger }): EnrollmentCall {
  const { trust, customerId } = options;
  return async (method, request) => {
    const reasons: string[] = [];
    for await (const { address, role } of options.addresses()) {
      const mesh = trust.meshes[0] ?? '';
      const expected = role === 'cloud' ? { mesh, role } : { mesh, role, customerId };
      const channel = new GrpcChannel(
        {
          address,
          tls: { ca: trust.pems, judgeServer: judgeServer(trust, expected, () => modules.clock.now()) },
          connectWithin: seconds(10),
          ...(role === 'cloud' && options.proxy !== undefined ? { proxy: options.proxy } : {}),
        },
        modules,
      );
      const service = EnrollmentServiceService[method === 'Enrol' ? 'enrol' : 'renew'];
      try {
        // Opened here: a connector that was taken over and answers something must not keep this machine from the next one.
        const answer = await request.openAnswer(await channel.unary(service, request.sealed, { within: WITHIN }));
        // Otherwise told by whoever asked: once, in all.
        if (reasons.length > 0)
          modules.log.info({ cause: reasons.join('; ') }, 'no answer to the enrolment request elsewhere');
        return answer;
      } catch (thrown) {
        const why = describe(thrown);
        reasons.push(why.includes(address) ? `${role}: ${why}` : `${role} ${address}: ${why}`);
      } finally {
        await channel.stop();
      }
    }
    throw new MembershipFault(
      'membership.unreachable',
      reasons.length > 0 ? reasons.join('; ') : 'no connector was found',
      {
        advice:
          'Check that a connector runs in this network (or name it with --connector host:port), or that the cloud can be reached.',
      },
    );
  };
}
