// Keeps a certificate alive: a new one is asked for at two thirds of its lifetime, also when it has expired already,
// over whatever path answers. Until then the old one stays.
import { EnrollmentFailureCode, RenewAnswer, RenewRequest } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import type { MeshCertificate } from '../identity/certificates.js';
import { uuidBytes } from '../identity/uuid.js';
import { type Clock, sleep } from '../kernel/clock.js';
import { days, hours, milliseconds, minutes } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import { backoff } from '../kernel/retry.js';
import type { EnrollmentCall } from './enrol.js';
import { MembershipFault } from './fault.js';
import { type Membership, saveCertificate } from './machine-files.js';

/** Timers do not reach further than this. */
const LONGEST_WAIT = days(1);

export interface RenewalModules {
  readonly call: EnrollmentCall;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** A new certificate is on disk. */
  readonly onRenewed: (certificate: MeshCertificate) => void;
}

/** Runs until the signal is aborted, or the cloud refuses for good (then it rejects with membership.refused). */
export async function keepRenewed(membership: Membership, modules: RenewalModules, signal: AbortSignal): Promise<void> {
  const { clock, random, log } = modules;
  let current = membership.certificate;
  const schedule = { first: minutes(1), factor: 2, cap: hours(1) };
  let waits = backoff(schedule, random);
  while (!signal.aborted) {
    const wait = current.renewalDue - clock.now();
    if (wait > 0) {
      await sleep(clock, milliseconds(Math.min(wait, LONGEST_WAIT)), signal);
      continue;
    }
    try {
      current = await renew(membership, current, modules);
      waits = backoff(schedule, random);
      await saveCertificate(membership.directory, current);
      log.info({ expires: new Date(current.notAfter).toISOString() }, 'certificate renewed');
      modules.onRenewed(current);
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof MembershipFault && thrown.permanent) throw thrown;
      log.warn({ cause: describe(thrown) }, 'certificate not renewed; trying again');
      await sleep(clock, waits.next().value, signal);
    }
  }
}

/** One renewal. Faults: membership.refused; what `call` rejects with. */
export async function renew(
  membership: Membership,
  current: MeshCertificate,
  modules: Pick<RenewalModules, 'call' | 'clock'>,
): Promise<MeshCertificate> {
  // What makes requests for certificates is large, and needed every few weeks.
  const { createCsr } = await import('../identity/csr.js');
  const { sealRequest } = await import('../identity/enrollment-envelope.js');
  const request = RenewRequest.encode({
    csr: await createCsr(membership.identity),
    machineId: uuidBytes(current.identity.machineId),
    certificate: current.der,
  }).finish();
  const enrollmentKey = Buffer.from(membership.record.enrollmentKey, 'base64');
  const sealed = await sealRequest(enrollmentKey, 'Renew', request);
  const { result } = RenewAnswer.decode(await modules.call('Renew', sealed));
  if (result?.$case === 'failure') {
    throw new MembershipFault('membership.refused', result.value.message, {
      permanent: result.value.code === EnrollmentFailureCode.REVOKED,
      advice: 'Enrol this machine again with a new token.',
    });
  }
  if (!result) throw new MembershipFault('membership.refused', 'the answer is of a newer protocol version');
  const certificate = membership.trust.verify(result.value.certificate, modules.clock.now(), {
    allowNotYetValid: true,
    role: current.identity.role,
  });
  const same = certificate.identity.machineId === current.identity.machineId;
  if (!same || !certificate.key.equals(membership.identity.publicKey)) {
    throw new MembershipFault('membership.refused', 'the certificate in the answer is not for this machine');
  }
  return certificate;
}
