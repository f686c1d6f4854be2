// Waiting for an answer, and no longer than the run allows.
import { sleep } from '../kernel/clock.js';
import type { Bench } from './bench.js';
import { Broken } from './rule.js';

/** Throws Broken when it takes too long. */
export async function within<T>(
  bench: Pick<Bench, 'clock' | 'patience'>,
  promise: Promise<T>,
  what: string,
): Promise<T> {
  const over = new AbortController();
  const late = sleep(bench.clock, bench.patience, over.signal).then(() => {
    throw new Broken(`expected ${what}, nothing came within ${bench.patience / 1_000} s`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
    late.catch(() => undefined);
  }
}
