// The only place that reads time and arms timers. Everything else is handed a Clock, so that tests own time.
import { type Duration, type EpochMs, epochMs, milliseconds, minutes } from './duration.js';

/** An armed timer. Disarming twice, or after it fired, does nothing. */
export interface Timer extends Disposable {
  disarm(): void;
}

export interface Clock {
  /** Wall time: for timestamps that leave the process. It may jump. */
  now(): EpochMs;
  /** Time since some fixed moment of this process; never jumps. For every deadline and age inside a process. */
  monotonic(): Duration;
  /** Calls `action` once, `delay` from now. */
  after(delay: Duration, action: () => void): Timer;
}

const MAX_TIMEOUT = 2 ** 31 - 1;

/** A clock that differs from the cloud's by so much is wrong: somebody should set it. */
export const WRONG_CLOCK: Duration = minutes(1);

/** Time as the operating system tells it. */
export const systemClock: Clock = {
  now: () => epochMs(Date.now()),
  monotonic: () => milliseconds(performance.now()),
  after(delay, action) {
    const handle = setTimeout(action, Math.min(Math.max(0, delay), MAX_TIMEOUT));
    const disarm = () => clearTimeout(handle);
    return { disarm, [Symbol.dispose]: disarm };
  },
};

/** Resolves after `delay`; rejects with the signal's reason as soon as it is aborted. Leaves no listener behind. */
export function sleep(clock: Clock, delay: Duration, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.disarm();
      reject(signal?.reason);
    };
    const timer = clock.after(delay, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Calls `action` every `period` until disarmed; the next call is armed only after the one before returned. */
export function every(clock: Clock, period: Duration, action: () => void): Timer {
  let timer: Timer;
  let running = true;
  const arm = () => {
    timer = clock.after(period, () => {
      action();
      if (running) arm();
    });
  };
  arm();
  const disarm = () => {
    running = false;
    timer.disarm();
  };
  return { disarm, [Symbol.dispose]: disarm };
}
