// Requests that may be repeated: what a request with an id has changed is remembered in the same commit, for its caller,
// so that the same request again changes nothing and gets the same answer. Only what was recorded is kept, which holds no
// secret, and a digest of the request.
import { createHash } from 'node:crypto';
import { ApiFault } from '../../contract/fault.js';
import { aborted, type CallContext, type Implementation } from '../../contract/handlers.js';
import type { AnyMethod, AnyService } from '../../contract/service.js';
import { invalid } from '../../contract/status.js';
import type { Clock } from '../../kernel/clock.js';
import { days } from '../../kernel/duration.js';
import type { Scope } from '../../kernel/scope.js';
import { rangeOf } from '../../storage/keys.js';
import type { Op, Store } from '../../storage/store.js';
import { within } from '../records/repeats.js';
import { customerKey, tableKey } from '../tables.js';

const KEPT = days(1);
/** Of one customer, and of operators: beyond that the oldest are forgotten sooner. */
const MOST_KEPT: MostKept = { records: 10_000, bytes: 16 * 1024 * 1024 };
const MAX_ID = 64;

export interface MostKept {
  readonly records: number;
  /** In the store, with their keys. */
  readonly bytes: number;
}

interface RequestRecord {
  readonly v: 1;
  readonly digest: string;
  readonly atMs: number;
  /** What the change resulted in; absent for nothing. */
  readonly result?: unknown;
}

interface Kept {
  readonly key: Buffer;
  readonly atMs: number;
  readonly bytes: number;
}

/** What is remembered of one customer, oldest first. */
class Remembered {
  readonly #all = new Map<string, Kept>();
  #bytes = 0;

  add(one: Kept): void {
    const name = one.key.toString('hex');
    this.#forget(name);
    this.#all.set(name, one);
    this.#bytes += one.bytes;
  }

  /** Forgets what is from before `sinceMs`, and the oldest of what is too much, but not the newest: their keys. */
  *forget(sinceMs: number, most: MostKept): Generator<Buffer> {
    for (const [name, { key, atMs }] of this.#all) {
      const tooMuch = this.#all.size > most.records || this.#bytes > most.bytes;
      if (this.#all.size === 1 || (atMs >= sinceMs && !tooMuch)) return;
      this.#forget(name);
      yield key;
    }
  }

  #forget(name: string): void {
    this.#bytes -= this.#all.get(name)?.bytes ?? 0;
    this.#all.delete(name);
  }
}

export interface RequestsModules {
  readonly store: Store;
  readonly clock: Clock;
  readonly customers: () => Iterable<string>;
}

/** What every request that can be repeated has. */
type Repeated = object & { readonly requestId: string };

export class Requests {
  /** By prefix of their keys: a customer's, or the operators'. */
  readonly #remembered = new Map<string, Remembered>();
  readonly #running = new Map<string, Promise<void>>();

  private constructor(
    private readonly modules: RequestsModules,
    private readonly most: MostKept,
  ) {}

  /** Finds out what is remembered. Faults: storage.*. */
  static async open(modules: RequestsModules, scope: Scope, most = MOST_KEPT): Promise<Requests> {
    const requests = new Requests(modules, most);
    scope.defer(modules.store.onReset(() => requests.#load()));
    await requests.#load();
    return requests;
  }

  async #load(): Promise<void> {
    this.#remembered.clear();
    for (const customerId of [undefined, ...this.modules.customers()]) {
      const prefix = tableKey(customerKey(customerId), 'request');
      const found: Kept[] = [];
      for await (const { key, value } of this.modules.store.entries(rangeOf(prefix)))
        found.push({ key, atMs: recordOf(value).atMs, bytes: key.length + value.length });
      found.sort((a, b) => a.atMs - b.atMs);
      const remembered = new Remembered();
      for (const one of found) remembered.add(one);
      this.#remembered.set(prefix.toString('hex'), remembered);
    }
  }

  /**
   * Runs it, unless it has been run before: then only to answer. A repetition waits for the first to end. Faults:
   * api.invalid (the id breaks its limits, or was used for another request); those of `run`.
   */
  async once<R>(method: AnyMethod, request: Repeated, context: CallContext, run: () => Promise<R>): Promise<R> {
    const { principal } = context;
    if (request.requestId === '' || principal.kind !== 'user') return run();
    if (request.requestId.length > MAX_ID) throw invalid('request_id', `must have at most ${MAX_ID} characters`);
    const prefix = tableKey(customerKey(principal.customerId), 'request');
    const key = Buffer.concat([prefix, hash(principal.tokenId, method.path, request.requestId)]);
    const name = key.toString('hex');
    for (let other = this.#running.get(name); other; other = this.#running.get(name)) {
      await Promise.race([other, aborted(context.signal)]);
    }
    const running = this.#run(method, { key, prefix, request }, run);
    this.#running.set(name, running.then(nothing, nothing));
    try {
      return await running;
    } finally {
      this.#running.delete(name);
    }
  }

  async #run<R>(
    method: AnyMethod,
    { key, prefix, request }: { key: Buffer; prefix: Buffer; request: Repeated },
    run: () => Promise<R>,
  ): Promise<R> {
    const stored = await this.modules.store.get(key);
    const known = stored && recordOf(stored);
    const digest = hash(bytesOf(method, { ...request, requestId: '' })).toString('hex');
    if (known && known.digest !== digest) {
      throw new ApiFault('api.invalid', 'has been used for a different request', {
        field: 'request_id',
        reason: 'REQUEST_ID_REUSED',
        advice: 'Give every request an id of its own, and repeat a request unchanged.',
      });
    }
    // What was removed is not there to be asked about, and there is nothing to say.
    if (known && answersNothing(method)) return {} as R;
    const keep = (result: unknown) => this.#keep(prefix, key, { v: 1, digest, atMs: this.modules.clock.now(), result });
    return within({ known: known && { result: known.result }, keep }, run);
  }

  /** What writes this down, and removes what need not be known any more. */
  #keep(prefix: Buffer, key: Buffer, record: RequestRecord): Op[] {
    const group = prefix.toString('hex');
    const remembered = this.#remembered.get(group) ?? new Remembered();
    this.#remembered.set(group, remembered);
    const value = Buffer.from(JSON.stringify(record));
    remembered.add({ key, atMs: record.atMs, bytes: key.length + value.length });
    const gone = [...remembered.forget(record.atMs - KEPT, this.most)];
    return [...gone.map((del) => ({ del })), { put: key, value }];
  }
}

/** The same implementation, each request that has an id carried out once. */
export function repeatable<S extends AnyService>(
  service: S,
  implementation: Implementation<S>,
  requests: Requests,
): Implementation<S> {
  const repeated = Object.entries(service).filter(([, method]) => hasRequestId(method));
  const result = repeated.map(([name, method]) => {
    const run = implementation[name] as unknown as (request: Repeated, context: CallContext) => Promise<unknown>;
    const once = (request: Repeated, context: CallContext) =>
      requests.once(method, request, context, () => run(request, context));
    return [name, once];
  });
  return { ...implementation, ...Object.fromEntries(result) };
}

const hasRequestId = (method: AnyMethod): boolean =>
  'requestId' in (method.requestDeserialize(Buffer.alloc(0)) as object);

const nothing = (): void => undefined;

const recordOf = (value: Buffer): RequestRecord => JSON.parse(value.toString()) as RequestRecord;

/** Each part with its length: no two lists of parts have the same hash. */
function hash(...parts: readonly (string | Uint8Array)[]): Buffer {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(`${part.length}:`).update(part);
  return digest.digest();
}

const bytesOf = (method: AnyMethod, request: object): Buffer => method.requestSerialize(request as never);

/** Decoding nothing gives every field its default. */
const answersNothing = (method: AnyMethod): boolean =>
  Object.keys(method.responseDeserialize(Buffer.alloc(0)) as object).length === 0;
