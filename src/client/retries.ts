// Which failed calls are made once more, and when: only what is safe to repeat, and only where the failure may pass.
import { ContractFault } from '../contract/fault.js';
import { type Clock, sleep } from '../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';
import type { Random } from '../kernel/random.js';
import { backoff } from '../kernel/retry.js';

const WAITS = { first: milliseconds(200), factor: 2, cap: seconds(5) };
/** By their names: test/contract/proto.test.ts sees that these, and only these, change nothing. */
const READING = /\/(?:List|Get|Query|Aggregate|Watch|Prepare|Export)[^/]*$/;

export interface RetrySettings {
  readonly clock: Clock;
  readonly random: Random;
  /** How often at most, the first time included. */
  readonly tries: number;
}

/** Whether a call may be made twice: it changes nothing, or has an id by which the cloud knows it again. */
export function isRepeatable(path: string, request: unknown): boolean {
  if (READING.test(path)) return true;
  const { requestId } = request as { requestId?: unknown };
  return typeof requestId === 'string' && requestId !== '';
}

/** Calls until it succeeds, the failure is one that stays, or there is no time left. `call` is given what is left. */
export async function persistently<T>(
  call: (within: Duration) => Promise<T>,
  options: { readonly within: Duration; readonly signal?: AbortSignal },
  { clock, random, tries }: RetrySettings,
): Promise<T> {
  const due = clock.monotonic() + options.within;
  const waits = backoff(WAITS, random);
  for (let tried = 1; ; tried++) {
    try {
      return await call(milliseconds(due - clock.monotonic()));
    } catch (thrown) {
      const asked = mayPass(thrown);
      if (asked === undefined || tried >= tries || options.signal?.aborted) throw thrown;
      // What the server asks for wins.
      const wait = milliseconds(Math.max(waits.next().value, asked));
      if (clock.monotonic() + wait >= due) throw thrown;
      // Ended early, the next call says so.
      await sleep(clock, wait, options.signal).catch(() => undefined);
    }
  }
}

/** How long the server asks to wait; undefined when trying once more does not help. */
function mayPass(thrown: unknown): Duration | undefined {
  if (!(thrown instanceof ContractFault) || thrown.permanent) return undefined;
  const { code, retryAfter } = thrown;
  if (code === 'contract.unavailable') return retryAfter ?? milliseconds(0);
  return code === 'contract.exhausted' ? retryAfter : undefined;
}
