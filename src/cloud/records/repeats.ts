// The request that a change belongs to, for the journal: handed past everything in between, because whoever changes
// something need not know that he may be asked twice.
//
// Whatever is begun inside a request inherits it, as long as any request is under way: timers, listeners that are called,
// work that is not waited for. None of that may make changes (journal.change), which would be remembered as what the
// request has done, or not be made when it is repeated; what the cloud does by itself, it does in plain transactions.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Op } from '../../storage/store.js';

export interface Repeatable {
  /** What the change resulted in, if this request has made it before. */
  readonly known: { readonly result: unknown } | undefined;
  /** Inside the commit of the change: what writes down its result with it. Throws TypeError for a second one. */
  keep(result: unknown): readonly Op[];
}

const requests = new AsyncLocalStorage<Repeatable>();

let underWay = 0;

/** Every change in `run` is the one of this request. */
export async function within<R>({ known, keep }: Repeatable, run: () => Promise<R>): Promise<R> {
  let isKept = false;
  const keepOnce = (result: unknown) => {
    if (isKept) throw new TypeError('a request makes one change, and this is its second');
    isKept = true;
    return keep(result);
  };
  underWay += 1;
  try {
    return await requests.run({ known, keep: keepOnce }, run);
  } finally {
    underWay -= 1;
    // While it is in use, every promise of the process costs more, those of batches, too (Node 20: by async_hooks).
    if (underWay === 0) requests.disable();
  }
}

export const currentRequest = (): Repeatable | undefined => requests.getStore();
