// Everything that happens, in order: an append-only log in the store, written in the same commit as what it tells of. A
// position rises with every event of whatever customer; it is not promised that there is one for each number.
import { Event } from '../../../gen/occmesh/events/v1/events.js';
import type { Clock } from '../../kernel/clock.js';
import { readU64be, u64be } from '../../storage/keys.js';
import type { Op, Store } from '../../storage/store.js';
import { customerKey, tableKey } from '../tables.js';

export type Happening = NonNullable<Event['what']>;

/** Events that are read at a time; of all customers: positions. */
const READ_AT_ONCE = 2_000;
const FORGOTTEN_AT_ONCE = 1_000;
/** Events that are kept of one customer: the newest. */
const MOST_KEPT = 200_000;
const MAX_POSITION = Number.MAX_SAFE_INTEGER;

export class EventLog {
  #last = 0;
  /** Per customer: the position of its newest event. Those with nothing new are not read. */
  readonly #newest = new Map<string, number>();
  /** Per customer: events since they were counted last. */
  readonly #uncounted = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  #followers = 0;

  constructor(
    private readonly modules: { store: Store; clock: Clock; customers: () => Iterable<string> },
    private readonly mostKept = MOST_KEPT,
  ) {}

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

  /** How many follow the log now. */
  get followers(): number {
    return this.#followers;
  }

  /** One more does, until this is disposed of. */
  follow(): Disposable {
    this.#followers += 1;
    return {
      [Symbol.dispose]: () => {
        this.#followers -= 1;
      },
    };
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
    // Many watch, and all of them are woken by what happens to one.
    if (customerId !== undefined && (this.#newest.get(customerId) ?? 0) <= after)
      return { events: [], position: Math.max(after, this.#last) };
    // What is being written now is not read; a later look finds it.
    const durable = await this.#durable();
    if (customerId !== undefined) {
      const events = await this.#read({ ...rangeOf(customerId, after + 1, durable + 1), limit: READ_AT_ONCE });
      const cut = events.length === READ_AT_ONCE ? events.at(-1)?.position : undefined;
      return { events, position: Math.max(after, cut ?? durable) };
    }
    for (let from = after + 1; from <= durable; ) {
      const until = Math.min(from + READ_AT_ONCE, durable + 1);
      const events = await this.#readAll(from, until);
      if (events.length > 0) return { events: events.reverse(), position: until - 1 };
      from = await this.#next(until, durable + 1);
    }
    return { events: [], position: Math.max(after, durable) };
  }

  /** The newest `limit` events before a position, newest first. */
  async readBack(customerId: string | undefined, before: number, limit: number): Promise<Event[]> {
    if (customerId !== undefined) return this.#read({ ...rangeOf(customerId, 0, before), reverse: true, limit });
    const found: Event[] = [];
    for (let until = Math.min(before, this.#last + 1); until > 0 && found.length < limit; ) {
      const from = Math.max(0, until - READ_AT_ONCE);
      const events = await this.#readAll(from, until);
      found.push(...events);
      until = events.length > 0 ? from : await this.#previous(from);
    }
    return found.slice(0, limit);
  }

  /** Removes events that are older than `before`, and of each customer the oldest of too many; a thousand in one commit. */
  async forget(before: number): Promise<void> {
    for (const id of this.#all()) {
      const kept = await this.#oldestKept(id);
      for (let old: Event[] | undefined; old === undefined || old.length === FORGOTTEN_AT_ONCE; ) {
        const first = await this.#read({ ...rangeOf(id, 0, MAX_POSITION), limit: FORGOTTEN_AT_ONCE });
        old = first.filter(({ atMs, position }) => atMs < before || position < kept);
        const gone = old.map(({ position }) => ({ del: keyOf(customerOf(id), position) }));
        if (gone.length > 0) await this.modules.store.commit(() => gone);
      }
    }
  }

  /** The position of the oldest event that is not one too many. */
  async #oldestKept(id: string): Promise<number> {
    // Of those who made few happen there is nothing to count.
    if ((this.#uncounted.get(id) ?? 0) < this.mostKept / 20) return 0;
    this.#uncounted.delete(id);
    let count = 0;
    let until = MAX_POSITION;
    while (count < this.mostKept) {
      const limit = Math.min(FORGOTTEN_AT_ONCE, this.mostKept - count);
      const piece = await this.#read({ ...rangeOf(id, 0, until), reverse: true, limit });
      count += piece.length;
      until = piece.at(-1)?.position ?? 0;
      if (piece.length < limit) return 0;
    }
    return until;
  }

  #note(customerId: string, position: number): void {
    this.#last = Math.max(this.#last, position);
    this.#newest.set(customerId, position);
    this.#uncounted.set(customerId, (this.#uncounted.get(customerId) ?? 0) + 1);
  }

  /** Of all customers, newest first. */
  async #readAll(from: number, until: number): Promise<Event[]> {
    const found: Event[] = [];
    for (const [id, newest] of this.#newest)
      if (newest >= from) found.push(...(await this.#read(rangeOf(id, from, until))));
    return found.sort((a, b) => b.position - a.position);
  }

  /** Where the next event of any customer stands, from `from` on; `end` when there is none before it. */
  async #next(from: number, end: number): Promise<number> {
    let next = end;
    for (const [id, newest] of this.#newest) {
      if (newest < from) continue;
      const [first] = await this.#read({ ...rangeOf(id, from, next), limit: 1 });
      next = first?.position ?? next;
    }
    return next;
  }

  /** Behind the last event of any customer before `until`; 0 when there is none. */
  async #previous(until: number): Promise<number> {
    let previous = 0;
    for (const id of this.#newest.keys()) {
      const [last] = await this.#read({ ...rangeOf(id, previous, until), reverse: true, limit: 1 });
      previous = last ? last.position + 1 : previous;
    }
    return previous;
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
