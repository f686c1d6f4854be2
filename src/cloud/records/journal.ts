// The only way from tables in memory to the store: transactions that are durable before anybody sees them, and loading.
import type { Op, Store } from '../../storage/store.js';
import { TABLES, type TableName } from '../tables.js';
import { currentRequest } from './repeats.js';
import { damaged } from './stored-table.js';
import type { Pending } from './table.js';

/** What the journal needs of a StoredTable. */
interface Journaled {
  readonly name: TableName;
  begin(): void;
  abort(): void;
  seal(): Pending;
  fill(rows: readonly unknown[]): void;
}

/** Tables that are changed together. */
export interface TableGroup {
  /** In an order in which each may refer to those before it. */
  readonly list: readonly Journaled[];
}

export class Journal<T extends TableGroup> {
  readonly #stopListening: () => void;
  #more: Op[] = [];

  constructor(
    private readonly store: Store,
    readonly tables: T,
  ) {
    this.#stopListening = store.onReset(() => this.load());
  }

  /** Inside a transaction: writes something else with it, which is not kept in memory. */
  also(op: Op): void {
    this.#more.push(op);
  }

  /**
   * Runs `body` as one transaction: it reads with `latest…`, checks, and changes tables with `put` and `remove`. When
   * the promise resolves, all of it is durable and visible to readers; when it rejects, none of it counts. `body` is
   * synchronous; what it throws rejects. Faults: those of the store, and of `body`.
   */
  async transact<R>(body: () => R): Promise<R> {
    const done: { value: R; pending: Pending[] }[] = [];
    try {
      await this.store.commit(() => {
        for (const table of this.tables.list) table.begin();
        this.#more = [];
        let value: R;
        try {
          value = body();
        } catch (thrown) {
          for (const table of this.tables.list) table.abort();
          throw thrown;
        }
        const pending = this.tables.list.map((table): Pending => table.seal());
        done.push({ value, pending });
        const ops = [...pending.flatMap((one) => one.ops), ...this.#more];
        return ops.length > 0 ? ops : undefined;
      });
    } catch (thrown) {
      for (const { pending } of done) for (const one of pending) one.drop();
      throw thrown;
    }
    const [result] = done;
    if (!result) throw new TypeError('the store resolved a commit that it never built');
    const tells = result.pending.map((one) => one.settle());
    for (const tell of tells) tell();
    return result.value;
  }

  /**
   * The change that a request makes: a transaction, except when the same request has made it before (../api/requests.ts).
   * Then nothing is changed, and it resolves with what came of it then. A second change of a request is refused.
   */
  async change<R>(body: () => R): Promise<R> {
    const request = currentRequest();
    if (request?.known) return request.known.result as R;
    return this.transact(() => {
      const result = body();
      for (const op of request?.keep(result) ?? []) this.also(op);
      return result;
    });
  }

  /** Reads everything anew. Faults: inventory.damaged, storage.damaged. */
  async load(): Promise<void> {
    const numbers = this.tables.list.map((table) => TABLES[table.name]);
    const rows = new Map<number, unknown[]>(numbers.map((number) => [number, []]));
    // Customers are found by leaping from one key prefix to the next, so that their telemetry, which lies between, is
    // not read. Keys that begin with 0x00 are the store's own.
    const end = Buffer.alloc(17, 0xff);
    let from = Buffer.of(0x01);
    for (;;) {
      let customer: Buffer | undefined;
      for await (const entry of this.store.entries({ from, until: end, limit: 1 }))
        customer = entry.key.subarray(0, 16);
      if (!customer) break;
      const range = {
        from: Buffer.concat([customer, Buffer.of(Math.min(...numbers))]),
        until: Buffer.concat([customer, Buffer.of(Math.max(...numbers) + 1)]),
      };
      for await (const entry of this.store.entries(range)) rows.get(entry.key[16] ?? 0)?.push(parse(entry));
      from = Buffer.concat([customer, Buffer.of(0xff)]);
    }
    for (const table of this.tables.list) table.fill(rows.get(TABLES[table.name]) ?? []);
  }

  close(): void {
    this.#stopListening();
  }
}

function parse(entry: { key: Buffer; value: Buffer }): unknown {
  try {
    return JSON.parse(entry.value.toString());
  } catch (thrown) {
    throw damaged(`the record at key ${entry.key.toString('hex')}`, thrown);
  }
}
