// Comparing the hub's logs with what the cloud says it holds, at each Welcome and after each conflict: what the cloud
// holds is acknowledged, what it once acknowledged and lost is owed again, what nobody has becomes a gap, and a log
// that two machines wrote is continued under a new name from where they parted.
import type { Ack, FlushDigest, Holding } from '../../gen/occmesh/link/v1/link.js';
import { type FlushRange, GapReason } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Logger } from '../kernel/log.js';
import { MOST_DIGESTS } from '../link/version.js';
import { flushDigest } from '../telemetry/chain.js';
import { RangeSet } from '../telemetry/ranges.js';
import type { Wal } from '../wal/wal.js';

/** The digest of a flush alone; a chain is shorter. */
const FLUSH_DIGEST_BYTES = 32;

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
      await this.#heal(log, held, RangeSet.from(holding.gaps));
      // With two machines at work the cloud may hold both one's end of a log and the other's middle: there, chains say
      // nothing of what is below them.
      const mayBeMixed = quarantined && held.size > 0 && this.#owes(log);
      if (mayBeMixed || (await this.#hasParted(log, held, holding.chain))) parted.push(log);
      else if (held.size > 0) await this.wal.ack(log, held.toProto());
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
      for (let at = first; at < first + count; at += MOST_DIGESTS) {
        parts.push({ first: at, count: Math.min(MOST_DIGESTS, first + count - at) });
      }
      return parts;
    });
  }

  /**
   * The cloud's digests of what it holds of a parted log: what is the same is acknowledged; from the first that differs
   * on, what is owed is written again. What it does not hold below that stays where it is: if the other machine has it
   * too, it is the same, and if not, the cloud says so when it comes.
   */
  async compared(log: Buffer, digests: readonly FlushDigest[]): Promise<void> {
    const same = new RangeSet();
    let partedAt: number | undefined;
    for (const digest of digests) {
      if (await this.#isSame(log, digest)) same.add({ first: digest.flush, count: 1 });
      else partedAt = Math.min(partedAt ?? digest.flush, digest.flush);
    }
    if (same.size > 0) await this.wal.ack(log, same.toProto());
    if (partedAt === undefined) return;
    this.log.warn({ flush: partedAt }, 'the log parted here: what differs is written again under a new log');
    await this.wal.reappend(log, partedAt);
  }

  async #isSame(log: Buffer, { flush, chain, expiredUntilMs }: FlushDigest): Promise<boolean> {
    if (chain.length !== FLUSH_DIGEST_BYTES && chain.length > 0)
      return (await this.wal.chainAt(log, flush))?.equals(chain) ?? false;
    const [own] = await this.wal.read(log, flush, { maxReadings: 1, maxBytes: 1, until: flush + 1 });
    if (own && chain.length === 0) return own.readings.every(({ takenAt }) => takenAt <= expiredUntilMs);
    return own !== undefined && flushDigest(own.readings).equals(chain);
  }

  /**
   * Did somebody else write this log too? Certain where the cloud holds more than was ever written here, or another chain.
   * A chain that is not known here counts as another's, unless the cloud has acknowledged that very flush: a comparison
   * too many costs a question, one too few readings.
   */
  async #hasParted(log: Buffer, held: RangeSet, chain: Uint8Array): Promise<boolean> {
    if (held.size === 0) return false;
    const next = this.#nextOf(log);
    if (next !== undefined && held.end > next) return true;
    const own = await this.wal.chainAt(log, held.end - 1);
    return own ? !own.equals(chain) : !this.wal.acked(log).has(held.end - 1);
  }

  #owes(log: Buffer): boolean {
    return this.wal.unacked().some((entry) => log.equals(entry.log));
  }

  #nextOf(log: Buffer): number | undefined {
    const open = this.wal.openLog;
    if (open?.log.equals(log)) return open.next;
    return this.wal.logs().find((summary) => log.equals(summary.log))?.next;
  }

  /**
   * Owed again: what was acknowledged once and is neither held nor on record as gone. Told again: what was known to be
   * gone and is neither.
   */
  async #heal(log: Buffer, held: RangeSet, gaps: RangeSet): Promise<void> {
    const acked = this.wal.acked(log).subtract(held);
    const missing = acked.size > 0 ? await this.wal.restoreUnacked(log, acked.toProto()) : acked;
    const gone = this.wal.gone(log).subtract(held);
    const untold = missing.union(gone).subtract(gaps);
    if (acked.size > 0 || untold.size > 0) {
      this.log.warn(
        { flushes: acked.size, missing: missing.size, gaps: untold.size },
        'the cloud has lost what it once held: sending it again',
      );
    }
    for (const { first, count } of untold.ranges()) {
      await this.wal.addGap(log, { first, count }, GapReason.NOT_RETAINED);
    }
  }
}
