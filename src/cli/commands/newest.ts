// The newest readings of a stream that comes in no particular order, in bounded memory.
import type { Reading } from '../../client/index.js';

export class Newest {
  #kept: Reading[] = [];
  #dropped = 0;

  constructor(private readonly limit: number) {}

  /** How many were older than those kept. */
  get dropped(): number {
    return this.#dropped;
  }

  add(readings: readonly Reading[]): void {
    for (const reading of readings) this.#kept.push(reading);
    if (this.#kept.length > this.limit * 2) this.#cut();
  }

  /** Oldest first. */
  sorted(): readonly Reading[] {
    this.#cut();
    return this.#kept;
  }

  #cut(): void {
    this.#kept.sort(byTime);
    const over = this.#kept.length - this.limit;
    if (over <= 0) return;
    this.#kept.splice(0, over);
    this.#dropped += over;
  }
}

/** By time of taking; readings of one moment stay in the order of their log. */
function byTime(a: Reading, b: Reading): number {
  if (a.takenAtMs !== b.takenAtMs) return a.takenAtMs - b.takenAtMs;
  if (!a.id || !b.id) return 0;
  return Buffer.compare(a.id.log, b.id.log) || a.id.flush - b.id.flush || a.id.position - b.id.position;
}
