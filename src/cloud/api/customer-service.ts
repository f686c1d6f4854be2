// inventory.v1.CustomerService.
import type {
  CreateCustomerRequest,
  Customer,
  ListCustomersRequest,
  ListCustomersResponse,
  UpdateCustomerRequest,
} from '../../../gen/occmesh/inventory/v1/inventory.js';
import type { Inventory } from '../inventory/inventory.js';
import type { CustomerRecord } from '../inventory/records.js';
import { page } from './paging.js';
import { type Call, View } from './tenancy.js';
import { requireName, requireRange } from './validation.js';

export class CustomerService {
  constructor(private readonly inventory: Inventory) {}

  readonly createCustomer = async (request: CreateCustomerRequest, call: Call): Promise<Customer> => {
    View.of(this.inventory, call.principal);
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
    const { id } = View.of(this.inventory, call.principal).customer('id', request.id);
    const { name, directAllowed, fallbackAfterMs } = request;
    if (name !== undefined) requireName('name', name);
    if (fallbackAfterMs !== undefined) requireRange('fallback_after_ms', fallbackAfterMs, 1_000, 86_400_000);
    return customerOf(await this.inventory.customers.update(id, { name, directAllowed, fallbackAfterMs }));
  };
}

function customerOf({ id, name, directAllowed, fallbackAfterMs, createdAtMs }: CustomerRecord): Customer {
  return { id, name, directAllowed, fallbackAfterMs, createdAtMs };
}
