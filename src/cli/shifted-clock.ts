// A wall clock that is wrong, for tests: OCC_TEST_CLOCK_OFFSET names a file with a number of milliseconds, which is added
// to what the system says. The file may be changed while the program runs, and then the clock jumps.
import { readFileSync } from 'node:fs';
import type { Clock } from '../kernel/clock.js';
import { type Duration, epochMs, milliseconds } from '../kernel/duration.js';

const LOOK_EVERY = milliseconds(100);

/** Timers and the monotonic time are not touched: in a real machine they do not follow the wall clock either. */
export function shiftedClock(clock: Clock, file: string): Clock {
  let looked: Duration | undefined;
  let offset = 0;
  return {
    now() {
      if (looked === undefined || clock.monotonic() - looked > LOOK_EVERY) {
        looked = clock.monotonic();
        const read = Number(readFileSync(file, 'utf8'));
        // The file may be half written at this very moment.
        if (Number.isFinite(read)) offset = read;
      }
      return epochMs(clock.now() + offset);
    },
    monotonic: () => clock.monotonic(),
    after: (delay, action) => clock.after(delay, action),
  };
}
