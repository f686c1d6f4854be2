// Becoming a member: keys are made and written down, then asked for in one sealed request that any carrier may bring to
// the cloud. Asking again with the same keys gives the same identity, so a lost answer costs nothing.
import {
  EnrolAnswer,
  EnrollmentFailureCode,
  type EnrollmentToken,
  EnrolRequest,
  type IdentityRequest,
  type IssuedIdentity,
  type MachineInfo,
  Role,
} from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { type MeshCertificate, TrustBundle } from '../identity/certificates.js';
import { createCsr } from '../identity/csr.js';
import { type EnrollmentMethod, type SealedRequest, sealRequest } from '../identity/enrollment-envelope.js';
import { signSealingKey } from '../identity/sealing-keys.js';
import { roleFromProto } from '../identity/spiffe.js';
import { uuidText } from '../identity/uuid.js';
import { defined } from '../kernel/defined.js';
import type { EpochMs } from '../kernel/duration.js';
import { MembershipFault } from './fault.js';
import { ensureKeys, type MachineKeys, saveMembership } from './machine-files.js';

/**
 * Brings a sealed request to the cloud, directly or through a connector, and returns the content of the answer. An answer
 * that is not the cloud's (only the cloud can seal one that opens) is none. Rejects when nobody answers.
 */
export type EnrollmentCall = (method: EnrollmentMethod, request: SealedRequest) => Promise<Uint8Array>;

export interface EnrolOptions {
  readonly token: EnrollmentToken;
  /** One directory per identity that the token's role yields. */
  readonly directories: { readonly hub: string; readonly connector?: string };
  readonly info: MachineInfo;
  readonly now: EpochMs;
}

/** Faults: membership.refused; what `call` rejects with. */
export async function enrol(options: EnrolOptions, call: EnrollmentCall): Promise<void> {
  const { token, directories } = options;
  const wanted: { role: Role; directory: string; keys: MachineKeys }[] = [];
  if (token.role === Role.CONNECTOR) {
    if (directories.connector === undefined) throw wrongRole('a connector', 'occ connector');
    wanted.push({
      role: Role.CONNECTOR,
      directory: directories.connector,
      keys: await ensureKeys(directories.connector),
    });
  } else if (directories.connector !== undefined) {
    throw wrongRole('a hub', 'occ hub');
  }
  wanted.push({ role: Role.HUB, directory: directories.hub, keys: await ensureKeys(directories.hub) });

  const request = EnrolRequest.encode({
    tokenId: token.tokenId,
    secret: token.secret,
    identities: await Promise.all(wanted.map(({ role, keys }) => identityRequest(role, keys))),
    info: options.info,
  }).finish();
  const sealed = await sealRequest(token.enrollmentKey, 'Enrol', request);
  const { result } = EnrolAnswer.decode(await call('Enrol', sealed));
  if (result?.$case === 'failure') throw refused(result.value.code, result.value.message);
  if (!result) throw refused(EnrollmentFailureCode.UNSPECIFIED, 'the answer is of a newer protocol version');

  // The token's CA decides what is believed; the answer may only add to it.
  const trust = new TrustBundle(token.caCertificates);
  for (const { role, directory, keys } of wanted) {
    const issued = result.value.identities.find((identity) => identity.role === role);
    const certificate = requireOurs(issued, keys, trust, role, token, options.now);
    await saveMembership(directory, certificate, trust, {
      v: 1,
      cloud: token.cloud,
      enrollmentKey: Buffer.from(token.enrollmentKey).toString('base64'),
      fingerprint: options.info.fingerprint,
      enrolledAt: new Date(options.now).toISOString(),
      connectors: token.connectors,
    });
  }
}

async function identityRequest(role: Role, keys: MachineKeys): Promise<IdentityRequest> {
  const none = new Uint8Array(0);
  const sealing = role === Role.HUB ? keys.sealing.publicKey : none;
  return {
    role,
    csr: await createCsr(keys.identity),
    sealingKey: sealing,
    sealingKeySignature: role === Role.HUB ? signSealingKey(keys.identity, sealing) : none,
  };
}

function requireOurs(
  issued: IssuedIdentity | undefined,
  keys: MachineKeys,
  trust: TrustBundle,
  role: Role,
  token: EnrollmentToken,
  now: EpochMs,
): MeshCertificate {
  if (!issued) throw refused(EnrollmentFailureCode.UNSPECIFIED, 'the answer lacks an identity that was asked for');
  const meshRole = roleFromProto(role);
  const certificate = trust.verify(issued.certificate, now, {
    allowNotYetValid: true,
    ...defined({ role: meshRole }),
  });
  if (
    !certificate.key.equals(keys.identity.publicKey) ||
    certificate.identity.customerId !== uuidText(token.customerId) ||
    (token.role === role && token.machineId.length > 0 && certificate.identity.machineId !== uuidText(token.machineId))
  ) {
    throw refused(EnrollmentFailureCode.UNSPECIFIED, 'the certificate in the answer is not for this machine');
  }
  return certificate;
}

const ADVICE: { readonly [C in EnrollmentFailureCode]?: string } = {
  [EnrollmentFailureCode.WRONG_ROLE]: 'Use a token for this role.',
  [EnrollmentFailureCode.TOO_MANY]: 'Ask whoever operates the cloud.',
};

function refused(code: EnrollmentFailureCode, message: string): MembershipFault {
  return new MembershipFault('membership.refused', message, {
    permanent: true,
    advice: ADVICE[code] ?? 'Ask for a new token.',
  });
}

const wrongRole = (what: string, program: string): MembershipFault =>
  new MembershipFault('membership.refused', `this token is for ${what}`, {
    permanent: true,
    advice: `Use it with "${program}".`,
  });
