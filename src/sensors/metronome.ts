// Ticks on a fixed grid of monotonic time: origin, origin + interval, origin + 2 × interval, … Lateness of one tick does
// not move the next (no drift), and ticks that were missed are skipped, never made up for in a burst.
import type { Clock, Timer } from '../kernel/clock.js';
import { type Duration, milliseconds } from '../kernel/duration.js';

export interface MetronomeOptions {
  /** From now to the first tick. */
  readonly first: Duration;
  readonly interval: Duration;
}

/** Calls `tick` on the grid until disarmed. */
export function metronome(options: MetronomeOptions, clock: Clock, tick: () => void): Timer {
  const origin = clock.monotonic() + options.first;
  let due: number = origin;
  let timer: Timer;
  let running = true;
  const arm = () => {
    timer = clock.after(milliseconds(Math.max(0, due - clock.monotonic())), onTime);
  };
  const onTime = () => {
    const now = clock.monotonic();
    // Timers may fire a moment early, and one far in the future may be cut short by the platform's longest timeout.
    if (due - now > 5) return arm();
    const missed = Math.floor(Math.max(0, now - due) / options.interval);
    due += (missed + 1) * options.interval;
    tick();
    if (running) arm();
  };
  arm();
  const disarm = () => {
    running = false;
    timer.disarm();
  };
  return { disarm, [Symbol.dispose]: disarm };
}
