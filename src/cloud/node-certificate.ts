// This cloud node's own certificate, for TLS and for what the node signs. The CA is here too, so it is simply issued
// again when two thirds of its lifetime are over; the key stays.
import { isIP } from 'node:net';
import type { MeshAuthority } from '../identity/authority.js';
import type { MeshCertificate } from '../identity/certificates.js';
import { type Clock, every } from '../kernel/clock.js';
import { days, hours } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Scope } from '../kernel/scope.js';
import type { NodeKeys } from './cloud-files.js';

const VALIDITY = days(90);
const LOOK_EVERY = hours(6);

export class NodeCertificate {
  private constructor(
    private readonly issue: () => Promise<MeshCertificate>,
    private readonly modules: { readonly clock: Clock; readonly log: Logger },
    private latest: MeshCertificate,
  ) {}

  /** `names`: DNS names and addresses under which clients that do not know SPIFFE reach this node. */
  static async issued(
    authority: MeshAuthority,
    keys: NodeKeys,
    names: readonly string[],
    modules: { readonly clock: Clock; readonly log: Logger },
  ): Promise<NodeCertificate> {
    const issue = () =>
      authority.issue({
        identity: { mesh: authority.mesh, customerId: '', role: 'cloud', machineId: keys.nodeId },
        publicKey: keys.key.publicKey,
        validity: VALIDITY,
        dnsNames: names.filter((name) => isIP(name) === 0),
        addresses: names.filter((name) => isIP(name) !== 0),
      });
    return new NodeCertificate(issue, modules, await issue());
  }

  get current(): MeshCertificate {
    return this.latest;
  }

  /** Issues anew when it is due, for as long as the scope lives. */
  keepFresh(scope: Scope, onIssued: (certificate: MeshCertificate) => void): void {
    const { clock, log } = this.modules;
    const look = async () => {
      if (clock.now() < this.latest.renewalDue) return;
      this.latest = await this.issue();
      onIssued(this.latest);
      log.info({ expires: new Date(this.latest.notAfter).toISOString() }, 'certificate of this node issued again');
    };
    const timer = every(clock, LOOK_EVERY, () => {
      look().catch((thrown) => log.error({ cause: describe(thrown) }, 'certificate of this node not issued again'));
    });
    scope.defer(() => timer.disarm());
  }
}
