// What a rule of the contract is, and what became of it. A rule opens sessions, says something, and judges what comes
// back; it is kept unless it throws Broken.
import type { Bench } from './bench.js';

/** What a rule needs besides one hub: a second hub, the cloud's API, the hub's token, a connector (the target is a cloud). */
export type Need = 'witness' | 'api' | 'token' | 'connector';

export interface Rule {
  /** Stable: other programs branch on it. */
  readonly id: string;
  /** What is promised, in one sentence. */
  readonly promise: string;
  /** The element of the contract whose comment says so: `link.v1.Envelope.counter`. */
  readonly from: string;
  readonly needs: readonly Need[];
  readonly check: (bench: Bench) => Promise<void>;
}

/** A rule that was broken; the message says what was expected, and what came instead. */
export class Broken extends Error {}

export type Outcome = 'kept' | 'broken' | 'skipped';

export interface Finding extends Pick<Rule, 'id' | 'promise' | 'from'> {
  readonly outcome: Outcome;
  /** What was seen instead, or why it was skipped. */
  readonly detail: string;
}

export function rule(
  id: string,
  from: string,
  promise: string,
  check: (bench: Bench) => Promise<void>,
  ...needs: Need[]
): Rule {
  return { id, from, promise, check, needs };
}

export function require(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Broken(otherwise);
}
