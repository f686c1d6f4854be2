// Batches that have been sent in a session and not been answered yet.
import type { Lane } from '../../gen/occmesh/link/v1/link.js';
import { RangeSet } from '../telemetry/ranges.js';

export interface SentBatch {
  readonly first: number;
  readonly count: number;
  /** On the wire. */
  readonly bytes: number;
  /** In the log. */
  readonly loggedBytes: number;
  readonly lane: Lane;
}

export class InFlight {
  readonly #byLog = new Map<string, (SentBatch & { readonly number: number })[]>();
  readonly #bytes = new Map<Lane, number>();
  /** Number of the last batch sent in a lane, and of the last of those that have been answered. */
  readonly #sent = new Map<Lane, number>();
  readonly #answered = new Map<Lane, number>();
  #loggedBytes = 0;

  get loggedBytes(): number {
    return this.#loggedBytes;
  }

  /** Bytes on the wire in this lane. */
  bytes(lane: Lane): number {
    return this.#bytes.get(lane) ?? 0;
  }

  /** Batches sent in this lane since the last one that has been answered: of those before, no answer may ever come. */
  unanswered(lane: Lane): number {
    return (this.#sent.get(lane) ?? 0) - (this.#answered.get(lane) ?? 0);
  }

  /** The flushes of a log that are on their way. */
  ranges(log: string): RangeSet {
    return RangeSet.from(this.#byLog.get(log) ?? []);
  }

  add(log: string, batch: SentBatch): void {
    const sent = this.#byLog.get(log) ?? [];
    const number = (this.#sent.get(batch.lane) ?? 0) + 1;
    this.#sent.set(batch.lane, number);
    sent.push({ ...batch, number });
    this.#byLog.set(log, sent);
    this.#count(batch, 1);
  }

  /** Lets go of the batches that `isAnswered` is true for. */
  settle(log: string, isAnswered: (batch: SentBatch) => boolean): void {
    const open = [];
    for (const batch of this.#byLog.get(log) ?? []) {
      if (!isAnswered(batch)) {
        open.push(batch);
        continue;
      }
      this.#count(batch, -1);
      this.#answered.set(batch.lane, Math.max(batch.number, this.#answered.get(batch.lane) ?? 0));
    }
    if (open.length > 0) this.#byLog.set(log, open);
    else this.#byLog.delete(log);
  }

  #count({ bytes, loggedBytes, lane }: SentBatch, sign: 1 | -1): void {
    this.#bytes.set(lane, this.bytes(lane) + sign * bytes);
    this.#loggedBytes += sign * loggedBytes;
  }
}
