// What is known of one log: where it ends, and what became of each of its flushes. Ranges only: a log of three days
// without a cloud is as small as an empty one.
import type { LogSummary } from '../../gen/occmesh/link/v1/link.js';
import type { EpochMs } from '../kernel/duration.js';
import { chainStart } from '../telemetry/chain.js';
import { RangeSet } from '../telemetry/ranges.js';
import type { LogRecord } from './records.js';

/**
 * Every flush below `next` is in at least one of `unacked`, `acked`, `gone` and `gaps`. The flushes that are here are
 * `unacked` and `retained`.
 */
export class LogState {
  readonly name: string;
  /** Number of the next flush. */
  next = 0;
  /** Digest after next-1; undefined when that flush was lost. */
  chain: Buffer | undefined;
  /** Continued elsewhere: nothing at `next` or above belongs to this log. */
  cut = false;
  /** When the last of it was acknowledged; undefined while something is owed or it is open. */
  settledAt: EpochMs | undefined;
  /** Here, and owed to the cloud. */
  unacked = new RangeSet();
  /** Held by the cloud. */
  acked = new RangeSet();
  /** Held by the cloud and still here. */
  retained = new RangeSet();
  /** In gaps that the cloud has acknowledged, or continued under another log. */
  gone = new RangeSet();
  /** In gaps that the cloud has not acknowledged. */
  gaps = new RangeSet();
  /** Its record in the store is out of date. */
  dirty = false;

  constructor(readonly id: Buffer) {
    this.name = id.toString('hex');
    this.chain = chainStart(id);
  }

  get settled(): boolean {
    return this.unacked.size === 0 && this.gaps.size === 0;
  }

  /** Lowest flush that is still here; `next` when none is. */
  get first(): number {
    return Math.min(this.unacked.first ?? this.next, this.retained.first ?? this.next);
  }

  isHere(number: number): boolean {
    return this.unacked.has(number) || this.retained.has(number);
  }

  /** Flushes that nobody can account for: they have been here and are not. */
  unaccounted(): RangeSet {
    const rest = RangeSet.span(0, this.next);
    for (const known of [this.unacked, this.acked, this.gone, this.gaps]) rest.removeAll(known);
    return rest;
  }

  record(): LogRecord {
    const { next, chain, cut, settledAt, acked, gone } = this;
    return { next, chain, cut, settledAt, acked, gone };
  }

  summary(open: boolean): LogSummary {
    return {
      log: this.id,
      first: this.first,
      next: this.next,
      acked: this.acked.toProto(),
      chain: this.chain ?? new Uint8Array(0),
      closed: !open,
      continued: this.cut,
    };
  }
}
