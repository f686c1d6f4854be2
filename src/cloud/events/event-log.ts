// Everything that happens, in order: an append-only log in the store, written in the same commit as what it tells of. A
// position rises with every event of whatever customer; it is not promised that there is one for each number.
import { Event } from '../../../gen/occmesh/events/v1/events.js';
import type { Clock } from '../../kernel/clock.js';
import { readU64be, u64be } from '../../storage/keys.js';
import type { Op, Store } from '../../storage/store.js';
import { customerKey, tableKey } from '../tables.js';

export type Happening = NonNullable<Event['what']>;

/** Events of each customer that are read at a time. */
const READ_AT_ONCE = 500;
const FORGOTTEN_AT_ONCE = 1_000;
const MAX_POSITION = Number.MAX_SAFE_INTEGER;

export class EventLog {
  #last = 0;
  /** Per customer: the position of its newest event. Those with nothing new are not read. */
  readonly #newest = new Map<string, number>();
  readonly #waiting = new Set<() => void>();

  constructor(private readonly modules: { store: Store; clock: Clock; customers: () => Iterable<string> }) {}

  /** Finds out where the log ends: after opening the store, and after a failed write. */
  async load(): Promise<void> {
    for (const customerId of this.#all()) {
      for await (const { key } of this.modules.store.entries({
        ...rangeOf(customerId, 0, MAX_POSITION),
        reverse: true,
        limit: 1,
      })) {
        this.#note(customerId, readU64be(key, key.length - 8));
      }
    }
  }

  /** The position of the newest event. */
  get last(): number {
    return this.#last;
  }

  /** Inside a commit: what writes down that this happened. Afterwards, call told(). */
  append(customerId: string | undefined, what: Happening): Op {
    this.#note(customerId ?? '', this.#last + 1);
    const event: Event = { position: this.#last, atMs: this.modules.clock.now(), customerId: customerId ?? '', what };
    return { put: keyOf(customerId, event.position), value: Event.encode(event).finish() };
  }

  /** Those who wait for events look again. */
  told(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Resolves when there may be something after `position`, or when the signal is aborted. */
  async after(position: number, signal: AbortSignal): Promise<void> {
    if (this.#last > position || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  /**
   * Durable events after a position, in order: of one customer, or of all and of nobody. `position`: up to where they are
   * complete.
   */
  async read(customerId: string | undefined, after: number): Promise<{ events: Event[]; position: number }> {
    // What is being written now is not read; a later look finds it.
    let complete = await this.#durable();
    const found: Event[] = [];
    for (const id of customerId === undefined ? this.#all() : [customerId]) {
      if ((this.#newest.get(id) ?? 0) <= after) continue;
      const own = await this.#read({ ...rangeOf(id, after + 1, complete + 1), limit: READ_AT_ONCE });
      if (own.length === READ_AT_ONCE) complete = Math.min(complete, own.at(-1)?.position ?? complete);
      found.push(...own);
    }
    const events = found.filter(({ position }) => position <= complete).sort((a, b) => a.position - b.position);
    return { events, position: Math.max(after, complete) };
  }

  /** The newest `limit` events before a position, newest first. */
  async readBack(customerId: string | undefined, before: number, limit: number): Promise<Event[]> {
    const found: Event[] = [];
    for (const id of customerId === undefined ? this.#all() : [customerId]) {
      found.push(...(await this.#read({ ...rangeOf(id, 0, before), reverse: true, limit })));
    }
    return found.sort((a, b) => b.position - a.position).slice(0, limit);
  }

  /** Removes events that are older than `before`, a thousand in one commit. */
  async forget(before: number): Promise<void> {
    for (const id of this.#all()) {
      for (let old: Event[] | undefined; old === undefined || old.length === FORGOTTEN_AT_ONCE; ) {
        const first = await this.#read({ ...rangeOf(id, 0, MAX_POSITION), limit: FORGOTTEN_AT_ONCE });
        old = first.filter(({ atMs }) => atMs < before);
        const gone = old.map(({ position }) => ({ del: keyOf(customerOf(id), position) }));
        if (gone.length > 0) await this.modules.store.commit(() => gone);
      }
    }
  }

  #note(customerId: string, position: number): void {
    this.#last = Math.max(this.#last, position);
    this.#newest.set(customerId, position);
  }

  /** The last position of which all before are durable or will never be. */
  async #durable(): Promise<number> {
    const last = this.#last;
    await this.modules.store.commit(() => undefined);
    return last;
  }

  async #read(range: Parameters<Store['entries']>[0]): Promise<Event[]> {
    const events: Event[] = [];
    for await (const { value } of this.modules.store.entries(range)) events.push(Event.decode(value));
    return events;
  }

  /** Of all customers, and the empty one of what is nobody's. */
  *#all(): Iterable<string> {
    yield '';
    yield* this.modules.customers();
  }
}

const customerOf = (id: string): string | undefined => (id === '' ? undefined : id);

const keyOf = (customerId: string | undefined, position: number): Buffer =>
  tableKey(customerKey(customerId), 'event', u64be(position));

const rangeOf = (id: string, from: number, until: number) => ({
  from: keyOf(customerOf(id), from),
  until: keyOf(customerOf(id), until),
});
