// Rates from counters: two samples and the time between them. The earlier one is that of the run before; the first run
// takes two, a moment apart.
import { type Clock, sleep } from '../kernel/clock.js';
import { type Duration, milliseconds } from '../kernel/duration.js';

const MOMENT = milliseconds(250);

export interface Samples<T> {
  readonly before: T;
  readonly now: T;
  /** Never zero. */
  readonly elapsed: Duration;
}

export class Sampler<T> {
  #last: { readonly value: T; readonly at: Duration } | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly read: (signal: AbortSignal) => Promise<T>,
  ) {}

  async next(signal: AbortSignal): Promise<Samples<T>> {
    this.#last ??= await this.#sample(signal);
    const wait = this.#last.at + MOMENT - this.clock.monotonic();
    if (wait > 0) await sleep(this.clock, milliseconds(wait), signal);
    const before = this.#last;
    this.#last = await this.#sample(signal);
    return {
      before: before.value,
      now: this.#last.value,
      elapsed: milliseconds(Math.max(1, this.#last.at - before.at)),
    };
  }

  async #sample(signal: AbortSignal) {
    const value = await this.read(signal);
    return { value, at: this.clock.monotonic() };
  }
}
