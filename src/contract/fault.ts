// What goes wrong at the gRPC edge (ContractFault), and what a service may tell a caller who asked for something that
// cannot be had (ApiFault). How either becomes a status, and a status a fault again, is in status.ts.
import type { Duration } from '../kernel/duration.js';
import { Fault, type FaultOptions } from '../kernel/fault.js';
import type { FieldProblem } from './error-details.js';

export type ContractCode =
  /** Listening: another program has the port. */
  | 'contract.port-in-use'
  /** Listening: the operating system does not let this user have the port. */
  | 'contract.port-forbidden'
  /** Listening: any other reason. */
  | 'contract.cannot-listen'
  /** Key, certificate and CA do not fit together, or cannot be read. */
  | 'contract.bad-certificate'
  /** A library has changed under us: what is reached for inside it is no longer there. */
  | 'contract.library-changed'
  /** A method is served for which the contract says nobody may call it. */
  | 'contract.no-rule'
  /** An address, a proxy or a setting cannot be understood. */
  | 'contract.bad-setting'
  /** Calling: no connection, or it was lost. The cause says why, where it is known. */
  | 'contract.unavailable'
  /** Calling: who answers is not who should. */
  | 'contract.untrusted-peer'
  /** Calling: the proxy refused. */
  | 'contract.proxy-refused'
  /** The other side, or this one, gave up the call. */
  | 'contract.cancelled'
  /** No answer in time. */
  | 'contract.deadline'
  | 'contract.unauthenticated'
  | 'contract.denied'
  | 'contract.invalid'
  | 'contract.not-found'
  | 'contract.already-exists'
  | 'contract.precondition'
  | 'contract.aborted'
  /** A limit: message size, number of streams, budget. */
  | 'contract.exhausted'
  /** The other side is older and does not know this method. */
  | 'contract.unimplemented'
  /** The other side failed; its log says why. */
  | 'contract.internal';

export interface EdgeFaultOptions extends FaultOptions {
  /** What ErrorInfo says instead of the code. */
  readonly reason?: string | undefined;
  /** Not before: RetryInfo in the status details. */
  readonly retryAfter?: Duration | undefined;
}

/** A fault that can carry what a status carries besides its text. */
export abstract class EdgeFault<Code extends string> extends Fault<Code> {
  readonly reason: string | undefined;
  readonly retryAfter: Duration | undefined;

  constructor(code: Code, message: string, options: EdgeFaultOptions = {}) {
    super(code, message, options);
    this.reason = options.reason;
    this.retryAfter = options.retryAfter;
  }
}

export interface ContractFaultOptions extends EdgeFaultOptions {
  readonly fields?: readonly FieldProblem[];
}

export class ContractFault extends EdgeFault<ContractCode> {
  /** Of a call that was refused: the fields of the request that the server found wrong. */
  readonly fields: readonly FieldProblem[];

  constructor(code: ContractCode, message: string, options: ContractFaultOptions = {}) {
    super(code, message, options);
    this.fields = options.fields ?? [];
  }
}

export type ApiCode =
  | 'api.invalid'
  | 'api.not-found'
  | 'api.already-exists'
  | 'api.denied'
  | 'api.precondition'
  | 'api.exhausted'
  | 'api.unavailable'
  | 'api.unauthenticated';

/** For handlers: the caller is told code, message and advice, so none of them may hold what the caller may not know. */
export class ApiFault extends EdgeFault<ApiCode> {
  constructor(code: ApiCode, message: string, options: EdgeFaultOptions = {}) {
    super(code, message, { permanent: code !== 'api.unavailable' && code !== 'api.exhausted', ...options });
  }
}
