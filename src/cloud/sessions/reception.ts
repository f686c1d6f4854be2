// Which hub is let in next. To admit one takes the cloud milliseconds, and a hub gives up after 15 s: a cloud that began
// with all of a large mesh at once, after a restart, would be done with none of them in time, and all would come again, for
// ever. So a few are admitted at a time, customers take turns, and whoever would wait too long is told at once when to come
// back: at a moment of its own, the later the more there are.
import type { Clock } from '../../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../../kernel/duration.js';
import type { Random } from '../../kernel/random.js';
import { RoundRobin } from '../../kernel/round-robin.js';
import { LinkFault } from '../../link/fault.js';

/** Enough that nobody waits for a disk, nor for a cloud that is busy with batches: each takes some writes and reads. */
const AT_ONCE = 256;
/** Of all customers together. With those before them, some seconds' work. */
const WAITING = 250;
/** To turn so many away takes the cloud little time. */
const TURNED_AWAY_PER_SECOND = 500;
/** How long one that was turned away counts. */
const COUNTS = seconds(10);
const SOON = seconds(2);
const LATE = seconds(120);

export interface ReceptionModules {
  readonly clock: Clock;
  readonly random: Random;
}

export class Reception {
  #inside = 0;
  readonly #line = new RoundRobin<string, () => void>();
  /** Those of late, each the less the longer ago it was. */
  #turnedAway = 0;
  #countedAt: Duration;

  constructor(private readonly modules: ReceptionModules) {
    this.#countedAt = modules.clock.monotonic();
  }

  /** Faults: link.busy, with the time to come back, when as many of this customer's hubs wait as may. */
  check(customerId: string): void {
    const share = Math.max(1, Math.floor(WAITING / Math.max(1, this.#line.parties)));
    if (this.#line.waiting(customerId) < share) return;
    throw new LinkFault('link.busy', 'very many hubs come back at the same time; this one has to wait', {
      retryAfter: this.#comeBack(),
    });
  }

  /** Resolves when it may begin; what it resolves with says that it has ended, and must be called once. Faults as for check(). */
  async enter(customerId: string): Promise<() => void> {
    this.check(customerId);
    if (this.#inside < AT_ONCE) this.#inside += 1;
    else await new Promise<void>((resolve) => this.#line.push(customerId, resolve));
    return () => {
      const next = this.#line.shift();
      if (next) next();
      else this.#inside -= 1;
    };
  }

  #comeBack(): Duration {
    const { clock, random } = this.modules;
    const now = clock.monotonic();
    this.#turnedAway = this.#turnedAway * Math.exp((this.#countedAt - now) / COUNTS) + 1;
    this.#countedAt = now;
    const spread = Math.min(LATE, Math.max(SOON, seconds(this.#turnedAway / TURNED_AWAY_PER_SECOND)));
    return milliseconds((0.5 + random.uniform()) * spread);
  }
}
