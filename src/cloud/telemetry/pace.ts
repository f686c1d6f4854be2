// Work in the background: pieces of some milliseconds, and after each of them a rest that is a multiple of what it took,
// longer while batches come in.
import { type Clock, sleep } from '../../kernel/clock.js';
import { type Duration, milliseconds } from '../../kernel/duration.js';
import { turn } from '../../kernel/turn.js';

export interface PaceModules {
  readonly clock: Clock;
  /** Whether batches are coming in right now. */
  readonly isBusy: () => boolean;
}

/** Rest for each millisecond of work. */
const REST = 1;
const REST_WHILE_BUSY = 9;
/** A timer is not worth less. */
const SHORTEST_REST = milliseconds(5);

export class Pace {
  #began: Duration;
  /** Milliseconds of rest that are still owed. */
  #owed = 0;

  constructor(
    private readonly modules: PaceModules,
    private readonly signal: AbortSignal,
  ) {
    this.#began = modules.clock.monotonic();
  }

  begin(): void {
    this.#began = this.modules.clock.monotonic();
  }

  /** Between two pieces of work. */
  async rest(): Promise<void> {
    const { clock, isBusy } = this.modules;
    this.#owed += (clock.monotonic() - this.#began) * (isBusy() ? REST_WHILE_BUSY : REST);
    if (this.#owed < SHORTEST_REST) await turn();
    else {
      await sleep(clock, milliseconds(this.#owed), this.signal);
      this.#owed = 0;
    }
    this.begin();
  }
}
