// Whose call begins next: one of each customer in a turn of the event loop. So whoever asks waits for one call of each
// other, and not for all that a busy one has asked at the same time; and batches and heartbeats come in between.
import type { AccessOptions } from '../contract/access.js';
import { RoundRobin } from '../kernel/round-robin.js';
import type { CallBudgets } from './call-budgets.js';

interface Waiting {
  readonly whose: string;
  readonly begin: () => void;
}

export class CallTurns {
  readonly #line = new RoundRobin<string, Waiting>();
  /** Of whom a call has begun in this turn. */
  readonly #served = new Set<string>();

  /** Resolves when it is the turn of the next call of `whose`. */
  async next(whose: string): Promise<void> {
    if (this.#served.has(whose)) {
      await new Promise<void>((begin) => this.#line.push(whose, { whose, begin }));
    } else this.#serve(whose);
  }

  #serve(whose: string): void {
    if (this.#served.size === 0) setImmediate(() => this.#nextTurn());
    this.#served.add(whose);
  }

  #nextTurn(): void {
    this.#served.clear();
    for (let left = this.#line.parties; left > 0; left--) {
      const next = this.#line.shift();
      if (!next) return;
      this.#serve(next.whose);
      next.begin();
    }
  }
}

/** What a call of people and services waits for before anything of it is read. */
export const entrance =
  (budgets: CallBudgets, turns: CallTurns): NonNullable<AccessOptions['enter']> =>
  async (principal) => {
    const leave = budgets.enter(principal);
    if (principal.kind === 'user') await turns.next(principal.customerId ?? principal.tokenId);
    return leave;
  };
