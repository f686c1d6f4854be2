// Closed logs of which nothing is owed: how long they are remembered, so that a cloud which lost them can be told so.
import type { Clock } from '../kernel/clock.js';
import { between, type Duration } from '../kernel/duration.js';
import type { Books } from './books.js';
import type { LogState } from './log-state.js';

/** A service that is restarted all the time must not fill its store with memories; a Hello names no more anyway. */
const MOST_TOMBSTONES = 256;

export class Tombstones {
  constructor(
    private readonly books: Books,
    private readonly lifetime: Duration,
    private readonly clock: Clock,
  ) {}

  /** Notes which logs have been settled, or are no longer. */
  update(): void {
    for (const log of this.books.logs()) {
      const settled = log !== this.books.open && log.settled;
      if (settled === (log.settledAt !== undefined)) continue;
      log.settledAt = settled ? this.clock.now() : undefined;
      log.dirty = true;
    }
  }

  /** Logs that may be forgotten: nothing of them is here any more. */
  expired(): LogState[] {
    const dead = this.books.logs().filter((log) => log.settledAt !== undefined && log.retained.size === 0);
    const tooMany = dead.slice(0, Math.max(0, dead.length - MOST_TOMBSTONES));
    return dead.filter(
      (log) =>
        tooMany.includes(log) ||
        (log.settledAt !== undefined && between(log.settledAt, this.clock.now()) >= this.lifetime),
    );
  }
}
