// What strangers do, told in the log with its cause: enough to find a wrong setting or an attack, and never so much that
// whoever knocks could fill a disk.
import type { Clock } from '../kernel/clock.js';
import type { Logger } from '../kernel/log.js';
import { TokenBucket } from '../kernel/token-bucket.js';

/** So many lines at once, and after that one in a minute. */
const LINES = { burst: 30, perSecond: 1 / 60 };

export class Oddities {
  readonly #lines: TokenBucket;
  #unsaid = 0;

  constructor(private readonly modules: { readonly clock: Clock; readonly log: Logger }) {
    this.#lines = new TokenBucket(LINES, modules.clock);
  }

  /** One line, or one more that is only counted: the next line tells how many those were. */
  note(details: object, message: string, level: 'info' | 'warn' | 'error' = 'info'): void {
    const { log } = this.modules;
    if (this.#lines.wait() > 0) {
      this.#unsaid += 1;
      log.debug(details, message);
      return;
    }
    this.#lines.take();
    log[level](this.#unsaid > 0 ? { ...details, unsaid: this.#unsaid } : details, message);
    this.#unsaid = 0;
  }
}
