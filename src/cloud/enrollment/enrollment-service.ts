// enrollment.v1.EnrollmentService, the cloud's end: opens what was sealed to it, decides, issues certificates, and seals
// the answer. Failures of a decision travel inside the answer, where the connector that relays it cannot see them.
import {
  EnrolAnswer,
  type EnrollmentFailure,
  EnrollmentFailureCode,
  EnrolRequest,
  type IssuedIdentity,
  RenewAnswer,
  RenewRequest,
  type Sealed,
  type SealedAnswer,
} from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { ApiFault } from '../../contract/fault.js';
import { Oddities } from '../../contract/oddities.js';
import { RateLimit, type RateLimitOptions, sourceOf } from '../../contract/rate-limit.js';
import type { MeshAuthority } from '../../identity/authority.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import { verifyCsr } from '../../identity/csr.js';
import { type EnrollmentMethod, openRequest } from '../../identity/enrollment-envelope.js';
import { IdentityFault } from '../../identity/fault.js';
import type { VerifyKey } from '../../identity/keys.js';
import type { SealingKeyPair } from '../../identity/sealing-keys.js';
import { roleToProto } from '../../identity/spiffe.js';
import { uuidBytes } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import type { Duration } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { Random } from '../../kernel/random.js';
import type { Inventory } from '../inventory/inventory.js';
import type { Place } from '../inventory/members.js';
import type { MachineRecord } from '../inventory/records.js';
import type { RefusalCode } from '../inventory/verdict.js';
import { InventoryFault } from '../records/faults.js';
import { BadRequest, readApplication } from './application.js';

/**
 * Protects the processor from work for strangers; secrets of 32 bytes cannot be guessed anyway. A connector relays for a
 * whole network, so that a source may well be a thousand machines on their first day.
 */
const DEFAULT_RATE: RateLimitOptions = {
  perSource: { burst: 50, perSecond: 10 },
  overall: { burst: 400, perSecond: 100 },
};

export interface EnrollmentOptions {
  readonly rate?: RateLimitOptions;
  /** Of the certificates issued; default 90 days. */
  readonly certificateLifetime?: Duration;
}

/** Who is counted: the other end of the connection, `192.0.2.1:5000`, or the id of a connector that relays. */
export interface EnrollmentCaller {
  readonly peer: string;
}

export interface EnrollmentModules {
  readonly inventory: Inventory;
  readonly authority: MeshAuthority;
  /** What requests are sealed to. */
  readonly sealingKey: SealingKeyPair;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const CODES: { readonly [C in RefusalCode]: EnrollmentFailureCode } = {
  'unknown-token': EnrollmentFailureCode.UNKNOWN_TOKEN,
  expired: EnrollmentFailureCode.EXPIRED,
  'used-up': EnrollmentFailureCode.USED_UP,
  'wrong-role': EnrollmentFailureCode.WRONG_ROLE,
  'bad-request': EnrollmentFailureCode.BAD_REQUEST,
  revoked: EnrollmentFailureCode.REVOKED,
  'too-many': EnrollmentFailureCode.TOO_MANY,
};

export class EnrollmentService {
  readonly #rate: RateLimit;
  readonly #oddities: Oddities;

  constructor(
    private readonly options: EnrollmentOptions,
    private readonly modules: EnrollmentModules,
  ) {
    this.#rate = new RateLimit(options.rate ?? DEFAULT_RATE, modules);
    this.#oddities = new Oddities(modules);
  }

  /**
   * Faults: identity.malformed, identity.cannot-open (not sealed to this cloud), api.exhausted (too many tries), storage.*.
   */
  readonly enrol = (request: Sealed, caller: EnrollmentCaller): Promise<SealedAnswer> =>
    this.#answer('Enrol', request, caller, async (content) => {
      const result = await this.#decide(async () => this.#enrol(decode(EnrolRequest, content)));
      return EnrolAnswer.encode({ result }).finish();
    });

  /** Likewise. */
  readonly renew = (request: Sealed, caller: EnrollmentCaller): Promise<SealedAnswer> =>
    this.#answer('Renew', request, caller, async (content) => {
      const result = await this.#decide(async () => this.#renew(decode(RenewRequest, content)));
      return RenewAnswer.encode({ result }).finish();
    });

  async #enrol(request: EnrolRequest): Promise<NonNullable<EnrolAnswer['result']>> {
    const { inventory, authority, log } = this.modules;
    const application = await readApplication(request);
    const outcome = await inventory.admission.admit(application, (place, key) => this.#issue(place, key));
    if (outcome.kind === 'refused') {
      this.#oddities.note({ token: application.tokenId, code: outcome.code }, 'enrolment refused', 'warn');
      return { $case: 'failure', value: { code: CODES[outcome.code], message: outcome.message } };
    }
    for (const { id, customerId, role, name } of outcome.machines) {
      log.info({ machine: id, customer: customerId, role, name }, 'machine enrolled');
    }
    const caCertificates = [...authority.bundle.ders];
    return { $case: 'membership', value: { identities: outcome.machines.map(issuedTo), caCertificates } };
  }

  async #renew(request: RenewRequest): Promise<NonNullable<RenewAnswer['result']>> {
    const { inventory, authority, clock, log } = this.modules;
    const last = authority.bundle.verify(request.certificate, clock.now(), { allowExpired: true });
    const key = await verifyCsr(request.csr);
    if (!uuidBytes(last.identity.machineId).equals(request.machineId) || !key.equals(last.key)) {
      throw new BadRequest('Request and certificate are not of the same machine and key.');
    }
    // Also takes up a machine that this cloud does not know any more: what it holds was issued by this mesh.
    const machine = await inventory.reports.readopt(last);
    const place = { machineId: machine.id, customerId: machine.customerId, role: machine.role };
    const renewed = await inventory.admission.renewed(machine.id, await this.#issue(place, key));
    log.info({ machine: machine.id, customer: machine.customerId }, 'certificate renewed');
    return { $case: 'identity', value: issuedTo(renewed) };
  }

  #issue(place: Place, publicKey: VerifyKey): Promise<MeshCertificate> {
    const { authority } = this.modules;
    const { certificateLifetime: validity } = this.options;
    return authority.issue({
      identity: { mesh: authority.mesh, ...place },
      publicKey,
      ...defined({ validity }),
    });
  }

  async #answer(
    method: EnrollmentMethod,
    request: Sealed,
    caller: EnrollmentCaller,
    respond: (content: Uint8Array) => Promise<Uint8Array>,
  ): Promise<SealedAnswer> {
    const retryAfter = this.#rate.take(sourceOf(caller.peer));
    if (retryAfter !== undefined)
      throw new ApiFault('api.exhausted', 'too many requests for enrolment', { retryAfter });
    const opened = await openRequest(this.modules.sealingKey, method, request, this.modules.random);
    try {
      return opened.sealAnswer(await respond(opened.content));
    } finally {
      // Holds the token's secret.
      opened.content.fill(0);
    }
  }

  /** Turns what is wrong with a request into its answer; what is wrong with this cloud goes on as a fault. */
  async #decide<R>(decision: () => Promise<R>): Promise<R | { $case: 'failure'; value: EnrollmentFailure }> {
    try {
      return await decision();
    } catch (thrown) {
      const value = failureOf(thrown);
      if (!value) throw thrown;
      const details = { code: EnrollmentFailureCode[value.code], reason: value.message };
      this.#oddities.note(details, 'enrolment refused', 'warn');
      return { $case: 'failure', value };
    }
  }
}

function failureOf(thrown: unknown): EnrollmentFailure | undefined {
  if (thrown instanceof BadRequest) return { code: EnrollmentFailureCode.BAD_REQUEST, message: thrown.message };
  if (thrown instanceof IdentityFault) {
    return thrown.code === 'identity.untrusted'
      ? {
          code: EnrollmentFailureCode.UNKNOWN_MACHINE,
          message: 'This certificate is not from this mesh. Enrol the machine with a token of this cloud.',
        }
      : {
          code: EnrollmentFailureCode.BAD_REQUEST,
          message: `The request does not hold together: ${describe(thrown)}.`,
        };
  }
  if (thrown instanceof InventoryFault && thrown.code === 'inventory.revoked') {
    return {
      code: EnrollmentFailureCode.REVOKED,
      message: 'This machine has been retired. To let it in again, reset its identity and enrol it with a new token.',
    };
  }
  if (thrown instanceof InventoryFault && thrown.code === 'inventory.invalid') {
    return {
      code: EnrollmentFailureCode.BAD_REQUEST,
      message: `The request does not hold together: ${thrown.message}.`,
    };
  }
  return undefined;
}

/** Faults: enrollment.bad-request. */
function decode<M>(message: { decode(bytes: Uint8Array): M }, bytes: Uint8Array): M {
  try {
    return message.decode(bytes);
  } catch (cause) {
    throw new BadRequest('The request cannot be read.', cause);
  }
}

function issuedTo(machine: MachineRecord): IssuedIdentity {
  return {
    role: roleToProto(machine.role),
    machineId: uuidBytes(machine.id),
    customerId: uuidBytes(machine.customerId),
    certificate: Buffer.from(machine.certificate, 'base64'),
  };
}
