// How long one operation takes, measured in a loop that is long enough for the clock and adapts to it.
import { performance } from 'node:perf_hooks';

export interface Operation {
  readonly figure: string;
  /** Under which circumstances; empty where there is only one. */
  readonly at: string;
  /** Things of which one run does so many: what is told is the time of one. */
  readonly things: number;
  readonly run: (() => unknown) | { readonly inTurn: () => Promise<unknown> };
}

/** Results go here, so that no compiler finds out that nobody wants them. */
export const kept: { last: unknown } = { last: undefined };

/** Nanoseconds per thing, of a loop that takes about `forMs`. What finds out its length is the warm-up, of as long again. */
export async function nanoseconds({ run, things }: Operation, forMs: number): Promise<number> {
  const loop = typeof run === 'function' ? (count: number) => inALoop(run, count) : inTurn(run.inTurn);
  let count = 1;
  for (;;) {
    const took = await loop(count);
    if (took >= forMs * 0.8) return ((await loop(count)) * 1e6) / (count * things);
    count = Math.ceil(count * Math.min(10, forMs / Math.max(took, forMs / 100)));
  }
}

function inALoop(run: () => unknown, count: number): number {
  const from = performance.now();
  for (let i = 0; i < count; i++) kept.last = run();
  return performance.now() - from;
}

const inTurn = (run: () => Promise<unknown>) => async (count: number) => {
  const from = performance.now();
  for (let i = 0; i < count; i++) kept.last = await run();
  return performance.now() - from;
};
