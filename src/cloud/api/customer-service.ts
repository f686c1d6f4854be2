// inventory.v1.CustomerService.
import type {
  CreateCustomerRequest,
  Customer,
  ListCustomersRequest,
  ListCustomersResponse,
  UpdateCustomerRequest,
} from '../../../gen/occmesh/inventory/v1/inventory.js';
import { ApiFault } from '../../contract/fault.js';
import type { Inventory } from '../inventory/inventory.js';
import type { CustomerRecord } from '../inventory/records.js';
import { LONGEST_RETENTION, retentionOf, SHORTEST_RETENTION } from '../inventory/retention.js';
import { page } from './paging.js';
import { type Call, View } from './tenancy.js';
import { requireName, requireRange } from './validation.js';

export class CustomerService {
  constructor(private readonly inventory: Inventory) {}

  readonly createCustomer = async (request: CreateCustomerRequest, call: Call): Promise<Customer> => {
    if (!View.of(this.inventory, call.principal).seesAll) {
      throw new ApiFault('api.denied', 'only who sees all customers adds one');
    }
    const name = requireName('name', request.name);
    return customerOf(await this.inventory.customers.create(name));
  };

  readonly listCustomers = async (request: ListCustomersRequest, call: Call): Promise<ListCustomersResponse> => {
    const view = View.of(this.inventory, call.principal);
    const seen = [...this.inventory.customers.all()].filter((customer) => view.sees(customer.id));
    const { items, nextPageToken } = page(seen, (customer) => customer.name, request);
    return { customers: items.map(customerOf), nextPageToken };
  };

  readonly updateCustomer = async (request: UpdateCustomerRequest, call: Call): Promise<Customer> => {
    const view = View.of(this.inventory, call.principal);
    const { id, name: oldName } = view.customer('id', request.id);
    const { name, directAllowed, fallbackAfterMs, rawRetentionMs, summaryRetentionMs } = request;
    if (name !== undefined) requireName('name', name);
    // Whether another customer has it already is not for them to know.
    if (name !== undefined && name !== oldName && !view.seesAll) {
      throw new ApiFault('api.denied', 'only who sees all customers names them');
    }
    if (fallbackAfterMs !== undefined) requireRange('fallback_after_ms', fallbackAfterMs, 1_000, 86_400_000);
    if (rawRetentionMs !== undefined) requireRetention('raw_retention_ms', rawRetentionMs);
    if (summaryRetentionMs !== undefined) requireRetention('summary_retention_ms', summaryRetentionMs);
    const change = { name, directAllowed, fallbackAfterMs, rawRetentionMs, summaryRetentionMs };
    return customerOf(await this.inventory.customers.update(id, change));
  };
}

const requireRetention = (field: string, ms: number): number =>
  requireRange(field, ms, SHORTEST_RETENTION, LONGEST_RETENTION);

function customerOf(customer: CustomerRecord): Customer {
  const { id, name, directAllowed, fallbackAfterMs, createdAtMs } = customer;
  const { raw: rawRetentionMs, summaries: summaryRetentionMs } = retentionOf(customer);
  return { id, name, directAllowed, fallbackAfterMs, createdAtMs, rawRetentionMs, summaryRetentionMs };
}
