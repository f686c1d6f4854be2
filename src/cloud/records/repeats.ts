// The request that a change belongs to, for the journal: handed past everything in between, because whoever changes
// something need not know that he may be asked twice.
//
// Whatever is begun inside a request inherits it, however long it lasts: timers, listeners that are called, work that is
// not waited for. None of that may make changes (journal.change), which would be remembered as what the request has done,
// or not be made when it is repeated; what the cloud does by itself, it does in plain transactions.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Op } from '../../storage/store.js';

export interface Repeatable {
  /** What the change resulted in, if this request has made it before. */
  readonly known: { readonly result: unknown } | undefined;
  /** Inside the commit of the change: what writes down its result with it. Throws TypeError for a second one. */
  keep(result: unknown): readonly Op[];
}

const requests = new AsyncLocalStorage<Repeatable>();

/** Every change in `run` is the one of this request. */
export function within<R>({ known, keep }: Repeatable, run: () => R): R {
  let isKept = false;
  const keepOnce = (result: unknown) => {
    if (isKept) throw new TypeError('a request makes one change, and this is its second');
    isKept = true;
    return keep(result);
  };
  return requests.run({ known, keep: keepOnce }, run);
}

export const currentRequest = (): Repeatable | undefined => requests.getStore();
