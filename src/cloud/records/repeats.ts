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

/** Every change in `run` is one of this request. */
export const within = <R>(request: Repeatable, run: () => R): R => requests.run(request, run);

export const currentRequest = (): Repeatable | undefined => requests.getStore();
