// When API tokens were last used: known at once, and written down now and then, all together, so that no call waits for it.
import { type Clock, every } from '../../kernel/clock.js';
import { type EpochMs, minutes } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { Scope } from '../../kernel/scope.js';
import type { Journal } from '../records/journal.js';
import type { ApiTokenRecord } from './records.js';
import type { Tables } from './tables.js';

const PERIOD = minutes(1);

export class TokenUses {
  /** Not written yet. */
  readonly #used = new Map<string, EpochMs>();

  constructor(private readonly modules: { journal: Journal<Tables>; clock: Clock; log: Logger }) {}

  note(tokenId: string): void {
    this.#used.set(tokenId, this.modules.clock.now());
  }

  /** Milliseconds since 1970; 0 for never. */
  lastOf({ id, lastUsedAtMs = 0 }: ApiTokenRecord): number {
    return this.#used.get(id) ?? lastUsedAtMs;
  }

  /** Writes every minute, and at the end. */
  keep(scope: Scope): void {
    const { clock, log } = this.modules;
    const write = () =>
      this.#write().catch((thrown) => log.warn({ cause: describe(thrown) }, 'when tokens were used is not on record'));
    const timer = every(clock, PERIOD, () => void write());
    scope.defer(write);
    scope.defer(() => timer.disarm());
  }

  async #write(): Promise<void> {
    const { journal } = this.modules;
    const uses = [...this.#used];
    if (uses.length === 0) return;
    await journal.transact(() => {
      for (const [id, lastUsedAtMs] of uses) {
        const token = journal.tables.tokens.latest(id);
        if (token?.kind === 'api') journal.tables.tokens.put({ ...token, lastUsedAtMs });
      }
    });
    for (const [id, at] of uses) if (this.#used.get(id) === at) this.#used.delete(id);
  }
}
