// The request that a change belongs to, for the journal: handed past everything in between, because whoever changes
// something need not know that he may be asked twice.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Op } from '../../storage/store.js';

export interface Repeatable {
  /** What the change resulted in, if this request has made it before. */
  readonly known: { readonly result: unknown } | undefined;
  /** Inside the commit of the change: what writes down its result with it. */
  keep(result: unknown): readonly Op[];
}

const requests = new AsyncLocalStorage<Repeatable>();

let underWay = 0;

/** Every change in `run` is one of this request. */
export async function within<R>(request: Repeatable, run: () => Promise<R>): Promise<R> {
  underWay += 1;
  try {
    return await requests.run(request, run);
  } finally {
    underWay -= 1;
    // While it is in use, every promise of the process costs more, those of batches, too (Node 20: by async_hooks).
    if (underWay === 0) requests.disable();
  }
}

export const currentRequest = (): Repeatable | undefined => requests.getStore();
