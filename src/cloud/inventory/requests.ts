// Making a retried creation safe: what a request id has made is remembered in the same transaction that makes it.
import { createHash } from 'node:crypto';
import { defined } from '../../kernel/defined.js';
import { between, days, type EpochMs } from '../../kernel/duration.js';
import { InventoryFault } from './faults.js';
import { requestKey, type Tables } from './tables.js';

/** How long a request is remembered at least. */
const KEPT = days(30);

export interface Request {
  /** The caller's; empty: not given. */
  readonly requestId: string;
  /** What was asked for, in whatever form distinguishes two different requests. */
  readonly content: string;
}

/**
 * Inside a transaction: the id of what this request made before, or what `make` makes now. Faults: inventory.invalid
 * when the request id was used for something else; those of `make`.
 */
export function once(
  tables: Tables,
  customerId: string | undefined,
  request: Request,
  now: EpochMs,
  make: () => string,
): string {
  const { requestId } = request;
  if (requestId === '') return make();
  const digest = createHash('sha256').update(request.content).digest('hex');
  const known = tables.requests.latest(requestKey(customerId, requestId));
  if (known) {
    if (known.digest === digest) return known.made;
    throw new InventoryFault('inventory.invalid', 'has been used for a different request', {
      permanent: true,
      field: 'request_id',
      advice: 'Give every request an id of its own, and repeat a request unchanged.',
    });
  }
  const made = make();
  tables.requests.put({
    v: 1,
    ...defined({ customerId }),
    requestId,
    digest,
    made,
    atMs: now,
  });
  return made;
}

/** Inside a transaction: forgets requests that nobody will repeat any more. */
export function forgetOld(tables: Tables, now: EpochMs): void {
  for (const request of [...tables.requests.latestAll()]) {
    if (between(request.atMs as EpochMs, now) > KEPT)
      tables.requests.remove(requestKey(request.customerId, request.requestId));
  }
}
