// Customers: their names, which are unique, and the policy that their hubs follow.
import { isDeepStrictEqual } from 'node:util';
import { newId } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import type { Random } from '../../kernel/random.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import { bumpHubs, DEFAULT_FALLBACK_AFTER } from './desired-state.js';
import type { CustomerRecord } from './records.js';
import { changedRetention, type RetentionChange } from './retention.js';
import type { Tables } from './tables.js';

export interface CustomerChange extends RetentionChange {
  readonly name?: string | undefined;
  readonly directAllowed?: boolean | undefined;
  readonly fallbackAfterMs?: number | undefined;
}

export class Customers {
  readonly #tables: Tables;

  constructor(private readonly modules: { journal: Journal<Tables>; clock: Clock; random: Random }) {
    this.#tables = modules.journal.tables;
  }

  get(id: string): CustomerRecord | undefined {
    return this.#tables.customers.get(id);
  }

  all(): Iterable<CustomerRecord> {
    return this.#tables.customers.all();
  }

  *ids(): Iterable<string> {
    for (const { id } of this.all()) yield id;
  }

  /** Faults: inventory.exists. */
  create(name: string): Promise<CustomerRecord> {
    const { clock, random, journal } = this.modules;
    return journal.change(() => {
      const now = clock.now();
      return newCustomer(this.#tables, { id: newId(random, now), name, createdAtMs: now });
    });
  }

  /** Hubs whose desired state the change touches get a new version. Faults: inventory.not-found, inventory.exists, inventory.invalid. */
  update(id: string, change: CustomerChange): Promise<CustomerRecord> {
    return this.modules.journal.change(() => {
      const old = found(this.#tables, id);
      const next: CustomerRecord = {
        ...old,
        name: change.name ?? old.name,
        directAllowed: change.directAllowed ?? old.directAllowed,
        fallbackAfterMs: change.fallbackAfterMs ?? old.fallbackAfterMs,
        ...changedRetention(old, change),
      };
      if (next.name !== old.name) requireFreeName(this.#tables, next.name);
      const direct = next.directAllowed !== old.directAllowed;
      const fallback = next.fallbackAfterMs !== old.fallbackAfterMs;
      if (direct || fallback) {
        bumpHubs(this.#tables, id, (hub) => fallback || (direct && hub.directAllowed === undefined));
      }
      return isDeepStrictEqual(next, old) ? old : this.#tables.customers.put(next);
    });
  }
}

/** Inside a transaction. Faults: inventory.exists. */
export function newCustomer(tables: Tables, facts: { id: string; name: string; createdAtMs: number }): CustomerRecord {
  requireFreeName(tables, facts.name);
  return tables.customers.put({ v: 1, directAllowed: false, fallbackAfterMs: DEFAULT_FALLBACK_AFTER, ...facts });
}

function found(tables: Tables, id: string): CustomerRecord {
  const customer = tables.customers.latest(id);
  if (!customer) throw notFound('customer');
  return customer;
}

function requireFreeName(tables: Tables, name: string): void {
  for (const other of tables.customers.latestAll()) {
    if (other.name === name) {
      throw new InventoryFault('inventory.exists', `a customer named ${JSON.stringify(name)} exists already`, {
        permanent: true,
      });
    }
  }
}
