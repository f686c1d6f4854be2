// Whose readings are kept, and for how long.
import { uuidBytes } from '../identity/uuid.js';
import type { Inventory } from './inventory/inventory.js';
import { retentionOf } from './inventory/retention.js';
import type { Keeping } from './telemetry/retention/background.js';

/** Of all hubs there have ever been: those that have been retired too. */
export function* keepings({ machines, customers }: Inventory): Generator<Keeping> {
  for (const { role, id, customerId } of machines.all()) {
    if (role !== 'hub') continue;
    yield {
      hub: { customer: uuidBytes(customerId), machine: uuidBytes(id) },
      // A pass over all hubs takes hours: whoever wants more to be kept meanwhile is heard.
      get retention() {
        return retentionOf(customers.get(customerId) ?? {});
      },
    };
  }
}
