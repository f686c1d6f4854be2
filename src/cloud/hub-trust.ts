// Certificates of hubs, verified now. Nearly every hub shows the very certificate that is on record because this mesh's CA
// has signed it: to compare the bytes takes a hundredth of the time that it takes to parse and verify them, which is what
// lets ten thousand hubs come back at once. Whether its key has been revoked is asked by whoever lets the hub in.
import { claimedIdentity, MeshCertificate, type TrustBundle } from '../identity/certificates.js';
import { IdentityFault } from '../identity/fault.js';
import { keep } from '../kernel/bytes.js';
import type { Clock } from '../kernel/clock.js';
import { LinkFault } from '../link/fault.js';
import type { Machines } from './inventory/machines.js';

export interface HubTrustModules {
  readonly bundle: Pick<TrustBundle, 'verify' | 'hasAuthority'>;
  readonly machines: Pick<Machines, 'get' | 'verifyKeys'>;
  readonly clock: Clock;
}

export class HubTrust {
  constructor(private readonly modules: HubTrustModules) {}

  /** Faults: link.unauthentic. */
  hub(der: Uint8Array): MeshCertificate {
    const { bundle, clock } = this.modules;
    try {
      return this.#onRecord(der) ?? bundle.verify(der, clock.now(), { role: 'hub' });
    } catch (cause) {
      if (cause instanceof IdentityFault) throw new LinkFault('link.unauthentic', cause.message, { cause });
      throw cause;
    }
  }

  /**
   * The certificate, when it is the last one of a hub that was issued or verified here, by a CA that is still trusted, and
   * has not expired. (That it is not valid yet cannot be: its time had begun when it came on record.)
   */
  #onRecord(der: Uint8Array): MeshCertificate | undefined {
    const { bundle, machines, clock } = this.modules;
    const identity = claimedIdentity(der);
    if (!identity) return undefined;
    const record = machines.get(identity.machineId);
    if (record?.role !== 'hub' || record.certificateIssuer === undefined) return undefined;
    if (clock.now() > record.certificateExpiresAtMs || !bundle.hasAuthority(record.certificateIssuer)) return undefined;
    const bytes = keep(der);
    if (bytes.toString('base64') !== record.certificate) return undefined;
    // Of the keys that the machine has had, the one that the certificate is for.
    const key = machines.verifyKeys(record.id).find(({ spki }) => bytes.includes(spki));
    const { id: machineId, customerId } = record;
    return key && MeshCertificate.known(bytes, { ...identity, machineId, customerId }, key, record.certificateIssuer);
  }
}
