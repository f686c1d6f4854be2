// Whose readings are kept, and for how long.
import type { Inventory } from './inventory/inventory.js';
import { retentionOf } from './inventory/retention.js';
import { hubKeyOf } from './telemetry/ledger.js';
import type { Keeping } from './telemetry/retention/background.js';

/** Of all hubs there have ever been: those that have been retired too. */
export function* keepings({ machines, customers }: Inventory): Generator<Keeping> {
  for (const machine of machines.all()) {
    if (machine.role !== 'hub') continue;
    yield {
      hub: hubKeyOf(machine),
      // A pass over all hubs takes hours: whoever wants more to be kept meanwhile is heard.
      get retention() {
        return retentionOf(customers.get(machine.customerId) ?? {});
      },
    };
  }
}
