// The pieces of mutual TLS: what a member presents, and how it judges its peer. Peers are known by the identity in their
// certificate, not by the host name that was dialled: a connector's address changes, its identity does not.
// TLS itself (`ca` set to the bundle, rejectUnauthorized true) has verified the chain and the time before checkPeer runs.
// Where TLS was told not to reject (a clock that cannot be trusted), TrustBundle.verify and then judgePeer do it.
import type { PeerCertificate } from 'node:tls';
import type { EpochMs } from '../kernel/duration.js';
import { toError } from '../kernel/fault.js';
import { MeshCertificate, type TrustBundle } from './certificates.js';
import { IdentityFault } from './fault.js';
import type { SigningKey } from './keys.js';
import type { MeshIdentity, MeshRole } from './spiffe.js';

/** For the options of node:tls, or as Buffers for grpc-js credentials. PEM. */
export interface TlsIdentity {
  readonly key: string;
  readonly cert: string;
  readonly ca: string[];
}

/** What a member presents, and the authorities that it accepts. */
export function clientIdentity(certificate: MeshCertificate, key: SigningKey, bundle: TrustBundle): TlsIdentity {
  if (!certificate.key.equals(key.publicKey)) {
    throw new IdentityFault('identity.malformed', 'the certificate is not for this key', { permanent: true });
  }
  return { key: key.toPem(), cert: certificate.pem, ca: [...bundle.pems] };
}

export interface PeerExpectation {
  readonly mesh: string;
  readonly role: MeshRole;
  /** For a connector: its own customer's only. */
  readonly customerId?: string;
  readonly machineId?: string;
  /** Asked with the key id of every peer. A live connection is cut by whoever hears of the revocation, not here. */
  readonly isRevoked?: (keyId: Buffer) => boolean;
}

/** Undefined when the certificate is that of whom was expected. Faults (returned): identity.wrong-*, identity.revoked. */
export function judgePeer(certificate: MeshCertificate, expected: PeerExpectation): IdentityFault | undefined {
  const { identity, key } = certificate;
  if (identity.role !== expected.role) {
    return refusal('identity.wrong-role', `the peer is a ${identity.role}, not a ${expected.role}`);
  }
  const checks: [keyof MeshIdentity, string | undefined][] = [
    ['mesh', expected.mesh],
    ['customerId', expected.customerId],
    ['machineId', expected.machineId],
  ];
  for (const [part, wanted] of checks) {
    if (wanted !== undefined && identity[part] !== wanted) {
      return refusal('identity.wrong-party', `the peer's ${NAMES[part]} is ${identity[part] || 'none'}, not ${wanted}`);
    }
  }
  if (expected.isRevoked?.(key.keyId)) return refusal('identity.revoked', "the peer's key has been revoked");
  return undefined;
}

const NAMES = { mesh: 'mesh', customerId: 'customer', role: 'role', machineId: 'id' } as const;

function refusal(code: IdentityFault['code'], message: string): IdentityFault {
  return new IdentityFault(code, message, { permanent: true });
}

/**
 * A checkServerIdentity for node:tls and grpc-js: looks at the mesh identity instead of the host name. node:tls skips it
 * for a resumed session, whose peer it has judged before: do not keep sessions across a change of expectations.
 */
export function checkPeer(
  expected: PeerExpectation,
): (host: string, certificate: PeerCertificate) => IdentityFault | undefined {
  return (_host, peer) => {
    try {
      return judgePeer(MeshCertificate.parse(peer.raw), expected);
    } catch (thrown) {
      if (thrown instanceof IdentityFault) return thrown;
      return new IdentityFault('identity.malformed', 'the peer has no certificate of a mesh', {
        cause: toError(thrown),
      });
    }
  };
}

/**
 * Judges a certificate that TLS itself has not judged: chain, time and identity. One that is not valid yet by `now` is
 * accepted: a machine that wakes up in 1970 must reach the cloud, which tells it the time.
 */
export function judgeServer(
  bundle: TrustBundle,
  expected: PeerExpectation,
  now: () => EpochMs,
  onAccepted?: (peer: MeshCertificate) => void,
): (der: Buffer) => IdentityFault | undefined {
  return (der) => {
    try {
      const peer = bundle.verify(der, now(), { allowNotYetValid: true });
      const fault = judgePeer(peer, expected);
      if (!fault) onAccepted?.(peer);
      return fault;
    } catch (thrown) {
      if (thrown instanceof IdentityFault) return thrown;
      throw thrown;
    }
  };
}
