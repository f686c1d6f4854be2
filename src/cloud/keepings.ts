// Whose readings are kept, and for how long.
import type { Inventory } from './inventory/inventory.js';
import { retentionOf } from './inventory/retention.js';
import { hubKeyOf } from './telemetry/ledger.js';
import type { Keeping } from './telemetry/retention/background.js';

/**
 * Of all hubs there have ever been: those that have been retired too. A pass over them takes hours: each is as it is when its
 * turn comes, and nothing is kept for those that wait but their names.
 */
export function* keepings({ machines, customers }: Inventory): Generator<Keeping> {
  for (const id of Array.from(machines.all(), (machine) => machine.id)) {
    const machine = machines.get(id);
    if (machine?.role !== 'hub') continue;
    yield { hub: hubKeyOf(machine), retention: retentionOf(customers.get(machine.customerId) ?? {}) };
  }
}
