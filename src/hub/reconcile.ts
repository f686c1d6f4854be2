// Comparing the hub's logs with what the cloud says it holds, at each Welcome and after each conflict: what the cloud
// holds is acknowledged, what it once acknowledged and lost is owed again, what nobody has becomes a gap, and a log
// that two machines wrote is continued under a new name from where they parted.
import type { Ack, DigestAnswer, FlushDigest, Holding } from '../../gen/occmesh/link/v1/link.js';
import { type FlushRange, GapReason } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Logger } from '../kernel/log.js';
import { RangeSet } from '../telemetry/ranges.js';
import type { Wal } from '../wal/wal.js';

/** Most flushes that one digest request may name. */
const DIGESTS_AT_ONCE = 4_096;

export class Reconciler {
  constructor(
    private readonly wal: Wal,
    private readonly log: Logger,
  ) {}

  /** Takes the cloud's holdings in; returns the logs that have to be compared flush by flush. */
  async welcomed(holdings: readonly Holding[], quarantined: boolean): Promise<Buffer[]> {
    const parted: Buffer[] = [];
    for (const holding of holdings) {
      const log = Buffer.from(holding.log);
      const held = RangeSet.from(holding.held);
      if (await this.#hasParted(log, held, holding.chain)) {
        parted.push(log);
        continue;
      }
      await this.#heal(log, held, RangeSet.from(holding.gaps));
      if (held.size > 0) await this.wal.ack(log, held.toProto());
    }
    const open = this.wal.openLog;
    if (open && (quarantined || parted.some((log) => log.equals(open.log)))) {
      this.log.warn('this hub was rolled back or cloned: it continues under a new log');
      if (!parted.some((log) => log.equals(open.log))) parted.push(open.log);
      await this.wal.startNewLog();
    }
    return parted;
  }

  /** True when the ack is for what this hub has written; false when the log has parted. */
  async acked({ log, ranges, chain }: Ack): Promise<boolean> {
    const held = RangeSet.from(ranges);
    if (await this.#hasParted(Buffer.from(log), held, chain)) return false;
    await this.wal.ack(Buffer.from(log), ranges);
    return true;
  }

  /** What is to be asked of a parted log: everything not acknowledged. */
  async questions(log: Buffer): Promise<FlushRange[]> {
    const open = this.wal.openLog;
    if (open?.log.equals(log)) await this.wal.startNewLog();
    const waiting = this.wal.unacked().find((entry) => entry.log.equals(log))?.waiting ?? new RangeSet();
    return waiting.toProto().flatMap(({ first, count }) => {
      const parts: FlushRange[] = [];
      for (let at = first; at < first + count; at += DIGESTS_AT_ONCE) {
        parts.push({ first: at, count: Math.min(DIGESTS_AT_ONCE, first + count - at) });
      }
      return parts;
    });
  }

  /** The cloud's digests of a part of a parted log: what is the same is acknowledged, what differs is written again. */
  async compared({ log, digests }: DigestAnswer): Promise<void> {
    const id = Buffer.from(log);
    const same = new RangeSet();
    let partedAt: number | undefined;
    for (const digest of digests) {
      if (await this.#isSame(id, digest)) same.add({ first: digest.flush, count: 1 });
      else partedAt = Math.min(partedAt ?? digest.flush, digest.flush);
    }
    if (same.size > 0) await this.wal.ack(id, same.toProto());
    if (partedAt === undefined) return;
    this.log.warn({ flush: partedAt }, 'the log parted here: what differs is written again under a new log');
    await this.wal.reappend(id, partedAt);
  }

  async #isSame(log: Buffer, { flush, chain }: FlushDigest): Promise<boolean> {
    const own = await this.wal.chainAt(log, flush);
    return own?.equals(chain) ?? false;
  }

  /** Did somebody else write this log too? Unknown (the flush is no longer kept) counts as no. */
  async #hasParted(log: Buffer, held: RangeSet, chain: Uint8Array): Promise<boolean> {
    if (held.size === 0) return false;
    const open = this.wal.openLog;
    if (open?.log.equals(log) && held.end > open.next) return true;
    const own = await this.wal.chainAt(log, held.end - 1);
    return own !== undefined && !own.equals(chain);
  }

  /** Owed again: what was acknowledged once and is neither held nor on record as gone. */
  async #heal(log: Buffer, held: RangeSet, gaps: RangeSet): Promise<void> {
    const acked = this.wal.acked(log).subtract(held);
    if (acked.size === 0) return;
    const missing = await this.wal.restoreUnacked(log, acked.toProto());
    this.log.warn(
      { flushes: acked.size, missing: missing.size },
      'the cloud has lost what it once held: sending it again',
    );
    for (const { first, count } of missing.subtract(gaps).ranges()) {
      await this.wal.addGap(log, { first, count }, GapReason.NOT_RETAINED);
    }
  }
}
