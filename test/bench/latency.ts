// How long readings take from the moment they are taken to the moment at which somebody who watches a hub sees them,
// which is just after they have been stored. Both moments are of the same clock.
import type { MeshClient } from '../../src/client/index.js';
import type { Clock } from '../../src/kernel/clock.js';
import type { EpochMs } from '../../src/kernel/duration.js';
import { Scope, type Stoppable } from '../../src/kernel/scope.js';

interface Seen {
  readonly takenAt: number;
  /** Milliseconds. */
  readonly after: number;
}

export class LatencyWatch implements Stoppable {
  readonly #seen: Seen[] = [];
  readonly #scope = new Scope();
  #failure: Error | undefined;

  /** Watches hubs from now on. Of each flush one reading counts: all of them were taken, and are stored, together. */
  constructor(client: MeshClient, machineIds: readonly string[], clock: Clock) {
    for (const machineId of machineIds) {
      this.#scope.child().run(
        async (signal) => {
          let latest = 0;
          for await (const { readings } of client.readings.watchReadings({ machineId }, { signal })) {
            const now = clock.now();
            for (const { takenAtMs } of readings) {
              if (takenAtMs <= latest) continue;
              latest = takenAtMs;
              this.#seen.push({ takenAt: takenAtMs, after: now - takenAtMs });
            }
          }
        },
        (error) => {
          this.#failure = error;
        },
      );
    }
  }

  /** Of what was taken from `from` on and before `until`, milliseconds. */
  between(from: EpochMs, until: EpochMs): number[] {
    if (this.#failure) throw this.#failure;
    return this.#seen.filter(({ takenAt }) => takenAt >= from && takenAt < until).map(({ after }) => after);
  }

  stop(): Promise<void> {
    return this.#scope.stop();
  }
}
