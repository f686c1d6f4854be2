// What strangers do at a port, told in the log with its cause: enough to find a wrong setting or an attack, and never so
// much that whoever knocks could fill a disk.
import type { Clock } from '../kernel/clock.js';
import type { Duration } from '../kernel/duration.js';
import { minutes } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';

/** So many lines at once … */
const BURST = 30;
/** … and after that one in this time. */
const REFILL: Duration = minutes(1);

export class Oddities {
  #lines = BURST;
  #at: Duration;
  #unsaid = 0;

  constructor(private readonly modules: { readonly clock: Clock; readonly log: Logger }) {
    this.#at = modules.clock.monotonic();
  }

  /** One line, or one more that is only counted: the next line tells how many those were. */
  note(details: object, message: string): void {
    const { clock, log } = this.modules;
    const now = clock.monotonic();
    this.#lines = Math.min(BURST, this.#lines + (now - this.#at) / REFILL);
    this.#at = now;
    if (this.#lines < 1) {
      this.#unsaid += 1;
      log.debug(details, message);
      return;
    }
    this.#lines -= 1;
    log.info(this.#unsaid > 0 ? { ...details, unsaid: this.#unsaid } : details, message);
    this.#unsaid = 0;
  }
}
