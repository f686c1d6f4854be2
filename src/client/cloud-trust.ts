// Who is a cloud: whoever has a certificate of the mesh CA for the role `cloud`. The host name does not matter, so the
// same client works through a tunnel, an address or a name that the certificate does not know.
import type { PeerCertificate } from 'node:tls';
import { certificatesInPem, TrustBundle } from '../identity/certificates.js';
import { IdentityFault } from '../identity/fault.js';
import { checkPeer } from '../identity/tls.js';

/** The mesh CA bundle from PEM. Faults: identity.malformed. */
export function trustOf(pem: string): TrustBundle {
  const ders = certificatesInPem(pem);
  if (ders.length > 0) return new TrustBundle(ders);
  throw new IdentityFault('identity.malformed', 'there is no certificate in the CA that was given', {
    permanent: true,
    advice: 'Give the PEM text of the mesh CA: the file ca/ca.crt in the data directory of the cloud.',
  });
}

/** A checkServerIdentity for TLS: undefined for a cloud node of this mesh, otherwise why it is none. */
export function checkCloud(trust: TrustBundle): (host: string, certificate: PeerCertificate) => Error | undefined {
  const checks = trust.meshes.map((mesh) => checkPeer({ mesh, role: 'cloud' }));
  return (host, certificate) => {
    const faults = checks.map((check) => check(host, certificate));
    const fault = faults.includes(undefined) ? undefined : faults[0];
    // As a plain error: the edge takes one with a code for a failure of TLS itself.
    return fault && new Error(fault.message, { cause: fault });
  };
}
