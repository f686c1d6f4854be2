// What a check of the doctor finds: how it is, what was seen, and what to do about it.
import { type Duration, formatDuration } from '../../kernel/duration.js';
import { describe, Fault } from '../../kernel/fault.js';
import type { Terminal } from '../terminal.js';

export type Verdict = 'ok' | 'warning' | 'failed' | 'skipped';

export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  readonly seen: string;
  /** The next step, where there is one. */
  readonly todo?: string | undefined;
}

/** What checks are given: the world around, and a signal that ends them in time. */
export type CheckModules = Pick<Terminal, 'clock' | 'random' | 'platform'> & { readonly signal: AbortSignal };

export const ok = (check: string, seen: string): Finding => ({ check, verdict: 'ok', seen });
export const skipped = (check: string, seen: string): Finding => ({ check, verdict: 'skipped', seen });
export const warning = (check: string, seen: string, todo: string): Finding => ({
  check,
  verdict: 'warning',
  seen,
  todo,
});
export const failed = (check: string, seen: string, todo?: string): Finding => ({
  check,
  verdict: 'failed',
  seen,
  todo,
});

/** Runs a check within a time; what it throws is what it has found. */
export async function inTime(
  check: string,
  within: Duration,
  modules: CheckModules,
  run: (modules: CheckModules) => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  const over = new AbortController();
  const stop = () => over.abort(modules.signal.reason);
  modules.signal.addEventListener('abort', stop, { once: true });
  const late = new Error(`no answer within ${formatDuration(within)}`);
  const timer = modules.clock.after(within, () => over.abort(late));
  const ended = new Promise<never>((_, reject) => {
    over.signal.addEventListener('abort', () => reject(over.signal.reason), { once: true });
  });
  ended.catch(() => undefined);
  try {
    return await Promise.race([run({ ...modules, signal: over.signal }), ended]);
  } catch (thrown) {
    modules.signal.throwIfAborted();
    return [failed(check, describe(thrown), thrown instanceof Fault ? thrown.advice : undefined)];
  } finally {
    timer.disarm();
    modules.signal.removeEventListener('abort', stop);
    // Whatever is still under way ends now.
    over.abort(late);
  }
}
