// What can go wrong in a session, as one union, and the close code that tells the other side.
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import type { Duration } from '../kernel/duration.js';
import { Fault, type FaultOptions } from '../kernel/fault.js';
import { type Ending, ending } from './pipe.js';

export type LinkCode =
  /** A frame does not parse, or comes where it may not. */
  | 'link.protocol'
  /** A signature, certificate or counter does not verify. */
  | 'link.unauthentic'
  /** The other side is known but not welcome: revoked, retired, another customer's. */
  | 'link.refused'
  /** A window was overrun, or a budget is used up. */
  | 'link.exhausted'
  /** Very many come at the same time: later. */
  | 'link.busy'
  /** The other side fell silent. */
  | 'link.silent'
  /** A newer session has taken its place. */
  | 'link.superseded'
  /** There is no protocol version that both sides speak. */
  | 'link.version'
  /** This side is being stopped. */
  | 'link.going-away';

export interface LinkFaultOptions extends FaultOptions {
  /** The other side should not come back sooner. */
  readonly retryAfter?: Duration;
}

export class LinkFault extends Fault<LinkCode> {
  readonly retryAfter: Duration | undefined;

  constructor(code: LinkCode, message: string, options: LinkFaultOptions = {}) {
    super(code, message, options);
    this.retryAfter = options.retryAfter;
  }
}

const CLOSE_CODES: { readonly [C in LinkCode]: CloseCode } = {
  'link.protocol': CloseCode.PROTOCOL,
  'link.unauthentic': CloseCode.UNAUTHENTIC,
  'link.refused': CloseCode.REFUSED,
  'link.exhausted': CloseCode.EXHAUSTED,
  'link.busy': CloseCode.EXHAUSTED,
  'link.silent': CloseCode.GOING_AWAY,
  'link.superseded': CloseCode.SUPERSEDED,
  'link.version': CloseCode.VERSION,
  'link.going-away': CloseCode.GOING_AWAY,
};

/** What the other side is told. Unknown errors are internal: their text stays here. */
export function endingOf(thrown: unknown): Ending {
  if (thrown instanceof LinkFault)
    return ending(CLOSE_CODES[thrown.code], thrown.message, Math.ceil(thrown.retryAfter ?? 0));
  return ending(CloseCode.INTERNAL, 'internal error; see the log of the side that closed');
}
