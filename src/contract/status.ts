// The one translator between faults and gRPC statuses. Outwards: a fault whose code stands in the table tells its
// text; everything else is INTERNAL with an incident number, and the cause goes to the log and nowhere else.
import { Metadata, type ServiceError, status as Status, type StatusObject } from '@grpc/grpc-js';
import { Fault } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import { DETAILS_KEY, decodeDetails, type ErrorDetails, encodeDetails, plainText } from './error-details.js';
import { ApiFault, type ContractCode, ContractFault, EdgeFault } from './fault.js';

/** A status text is for people. In the header each of its bytes may take three, and it stands in the details once more. */
const MAX_TEXT_BYTES = 1_000;

/** Fault code → status. Codes of higher folders stand here as text: the edge knows their names and nothing else. */
export type StatusTable = { readonly [code: string]: Status };

export const STATUS_TABLE: StatusTable = {
  'api.invalid': Status.INVALID_ARGUMENT,
  'api.not-found': Status.NOT_FOUND,
  'api.already-exists': Status.ALREADY_EXISTS,
  'api.denied': Status.PERMISSION_DENIED,
  'api.precondition': Status.FAILED_PRECONDITION,
  'api.exhausted': Status.RESOURCE_EXHAUSTED,
  'api.unavailable': Status.UNAVAILABLE,
  'api.unauthenticated': Status.UNAUTHENTICATED,

  'contract.unavailable': Status.UNAVAILABLE,
  'contract.untrusted-peer': Status.UNAVAILABLE,
  'contract.proxy-refused': Status.UNAVAILABLE,
  'contract.cancelled': Status.CANCELLED,
  'contract.deadline': Status.DEADLINE_EXCEEDED,
  'contract.unauthenticated': Status.UNAUTHENTICATED,
  'contract.denied': Status.PERMISSION_DENIED,
  'contract.no-rule': Status.PERMISSION_DENIED,
  'contract.invalid': Status.INVALID_ARGUMENT,
  'contract.not-found': Status.NOT_FOUND,
  'contract.already-exists': Status.ALREADY_EXISTS,
  'contract.precondition': Status.FAILED_PRECONDITION,
  'contract.aborted': Status.ABORTED,
  'contract.exhausted': Status.RESOURCE_EXHAUSTED,
  'contract.unimplemented': Status.UNIMPLEMENTED,

  'identity.malformed': Status.INVALID_ARGUMENT,
  'identity.cannot-open': Status.INVALID_ARGUMENT,
  'identity.untrusted': Status.UNAUTHENTICATED,
  'identity.expired': Status.UNAUTHENTICATED,
  'identity.not-yet-valid': Status.UNAUTHENTICATED,
  'identity.bad-token': Status.UNAUTHENTICATED,
  'identity.revoked': Status.PERMISSION_DENIED,
  'identity.wrong-role': Status.PERMISSION_DENIED,
  'identity.wrong-party': Status.PERMISSION_DENIED,

  'telemetry.malformed': Status.INVALID_ARGUMENT,

  'link.protocol': Status.FAILED_PRECONDITION,
  'link.version': Status.FAILED_PRECONDITION,
  'link.unauthentic': Status.UNAUTHENTICATED,
  'link.refused': Status.PERMISSION_DENIED,
  'link.exhausted': Status.RESOURCE_EXHAUSTED,
  'link.silent': Status.UNAVAILABLE,
  'link.superseded': Status.ABORTED,
  'link.going-away': Status.UNAVAILABLE,

  'inventory.not-found': Status.NOT_FOUND,
  'inventory.exists': Status.ALREADY_EXISTS,
  'inventory.unsuitable': Status.FAILED_PRECONDITION,
  'inventory.invalid': Status.INVALID_ARGUMENT,
  'inventory.exhausted': Status.RESOURCE_EXHAUSTED,
  'inventory.conflict': Status.ABORTED,
  'inventory.revoked': Status.PERMISSION_DENIED,
};

/** Trying again later is right, but why it failed is nobody's business outside: logged, and told in these words. */
const WITHHELD: { readonly [code: string]: string } = {
  'storage.write-failed': 'the store cannot be written at the moment',
  'storage.closed': 'the server is stopping',
};

export interface StatusModules {
  readonly log: Logger;
  readonly random: Random;
}

/** The status code of an error, without anything being said or logged. */
export const statusOf = (thrown: unknown): Status =>
  (thrown instanceof Fault && (STATUS_TABLE[thrown.code] ?? (WITHHELD[thrown.code] && Status.UNAVAILABLE))) ||
  Status.INTERNAL;

export class StatusTranslator {
  /** `more` adds to the table, or overrides it. */
  constructor(
    private readonly modules: StatusModules,
    private readonly more: StatusTable = {},
  ) {}

  /** What the caller is told. Never throws. */
  toStatus(thrown: unknown): StatusObject {
    if (thrown instanceof Fault) {
      const code = this.more[thrown.code] ?? STATUS_TABLE[thrown.code];
      if (code !== undefined) return told(code, thrown);
      const text = WITHHELD[thrown.code];
      if (text !== undefined) {
        return this.#withheld(thrown, Status.UNAVAILABLE, text, thrown.code);
      }
    }
    return this.#withheld(thrown, Status.INTERNAL, 'internal error', 'internal');
  }

  #withheld(thrown: unknown, code: Status, text: string, reason: string): StatusObject {
    const incident = this.modules.random.bytes(5).toString('hex');
    this.modules.log.error({ err: thrown, incident }, 'a call failed; the caller knows the incident number only');
    return statusWith(code, `${text} (incident ${incident})`, { reason, incident, fields: [], retryAfter: undefined });
  }
}

function told(code: Status, fault: Fault): StatusObject {
  const { field, advice, message } = fault;
  const edge = fault instanceof EdgeFault ? fault : undefined;
  return statusWith(code, advice === undefined ? message : `${message}. ${advice}`, {
    reason: edge?.reason ?? fault.code,
    advice,
    fields: field === undefined ? [] : [{ field, problem: message.slice(field.length + 2) }],
    retryAfter: edge?.retryAfter,
  });
}

function statusWith(code: Status, text: string, details: ErrorDetails): StatusObject {
  const plain = plainText(text, MAX_TEXT_BYTES);
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, encodeDetails(code, plain, details));
  return { code, details: plain, metadata };
}

const FAULT_OF: { readonly [code: number]: ContractCode } = {
  [Status.CANCELLED]: 'contract.cancelled',
  [Status.INVALID_ARGUMENT]: 'contract.invalid',
  [Status.OUT_OF_RANGE]: 'contract.invalid',
  [Status.DEADLINE_EXCEEDED]: 'contract.deadline',
  [Status.NOT_FOUND]: 'contract.not-found',
  [Status.ALREADY_EXISTS]: 'contract.already-exists',
  [Status.PERMISSION_DENIED]: 'contract.denied',
  [Status.UNAUTHENTICATED]: 'contract.unauthenticated',
  [Status.RESOURCE_EXHAUSTED]: 'contract.exhausted',
  [Status.FAILED_PRECONDITION]: 'contract.precondition',
  [Status.ABORTED]: 'contract.aborted',
  [Status.UNIMPLEMENTED]: 'contract.unimplemented',
  [Status.UNAVAILABLE]: 'contract.unavailable',
};

const RETRYABLE: readonly ContractCode[] = [
  'contract.unavailable',
  'contract.cancelled',
  'contract.deadline',
  'contract.aborted',
  'contract.exhausted',
  'contract.internal',
];

const ADVICE: { readonly [C in ContractCode]?: string } = {
  'contract.unavailable': 'Check that the other side is running and that the address, port and any proxy are right.',
  'contract.unimplemented': 'Update the other side: it does not know this request.',
  'contract.internal': 'Look for the incident number in the log of the other side.',
};

/** Who was called, and what the last try to connect found. */
export interface CallFacts {
  readonly address: string;
  /** Known when the connection never came about: TLS, proxy, time. grpc-js shows it only as text. */
  readonly connection?: ContractFault | undefined;
}

/**
 * A failed call as a fault: readable, with advice, the server's reason, the fields that it
 * names and its wish when to come back. Without a cause: what
 * grpc-js throws says the same once more.
 */
export function fromStatus(error: ServiceError | StatusObject, facts: CallFacts): ContractFault {
  if (error.code === Status.UNAVAILABLE && facts.connection) return facts.connection;
  const code = FAULT_OF[error.code] ?? 'contract.internal';
  const bytes = error.metadata?.get(DETAILS_KEY)[0];
  const { reason, fields, retryAfter } = decodeDetails(Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0));
  // What the server itself said is its own sentence; what grpc-js says about connections needs to say whose.
  const message = reason === undefined ? `${facts.address}: ${plainCause(error.details)}` : error.details;
  return new ContractFault(code, message, {
    permanent: !RETRYABLE.includes(code),
    ...(reason === undefined && ADVICE[code] !== undefined ? { advice: ADVICE[code] } : {}),
    reason,
    fields,
    retryAfter,
  });
}

/** What grpc-js says of a connection that did not come about, without its wrapping. */
function plainCause(details: string): string {
  const found = /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note: *(.*)$/s.exec(details);
  return found ? [found[1], found[2]].filter(Boolean).join('; ') : details;
}

/** A request field breaks its limits. For handlers. */
export function invalid(field: string, problem: string): ApiFault {
  return new ApiFault('api.invalid', problem, { field });
}
