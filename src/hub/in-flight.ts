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
  readonly #byLog = new Map<string, SentBatch[]>();
  readonly #bytes = new Map<Lane, number>();
  readonly #batches = new Map<Lane, number>();
  #loggedBytes = 0;

  get loggedBytes(): number {
    return this.#loggedBytes;
  }

  /** Bytes on the wire in this lane. */
  bytes(lane: Lane): number {
    return this.#bytes.get(lane) ?? 0;
  }

  batches(lane: Lane): number {
    return this.#batches.get(lane) ?? 0;
  }

  /** The flushes of a log that are on their way. */
  ranges(log: string): RangeSet {
    return RangeSet.from(this.#byLog.get(log) ?? []);
  }

  add(log: string, batch: SentBatch): void {
    const sent = this.#byLog.get(log) ?? [];
    sent.push(batch);
    this.#byLog.set(log, sent);
    this.#count(batch, 1);
  }

  /** Lets go of the batches that `isAnswered` is true for. */
  settle(log: string, isAnswered: (batch: SentBatch) => boolean): void {
    const open: SentBatch[] = [];
    for (const batch of this.#byLog.get(log) ?? []) {
      if (isAnswered(batch)) this.#count(batch, -1);
      else open.push(batch);
    }
    if (open.length > 0) this.#byLog.set(log, open);
    else this.#byLog.delete(log);
  }

  #count({ bytes, loggedBytes, lane }: SentBatch, sign: 1 | -1): void {
    this.#bytes.set(lane, this.bytes(lane) + sign * bytes);
    this.#batches.set(lane, this.batches(lane) + sign);
    this.#loggedBytes += sign * loggedBytes;
  }
}
