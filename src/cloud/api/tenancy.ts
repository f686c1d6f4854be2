// Who may see what. A principal that is bound to a customer gets the same answer for what belongs to another customer
// as for what does not exist. Which RPC a principal may call at all was decided before: by the access interceptor.
import { Caller } from '../../../gen/occmesh/access/v1/access.js';
import type { Principal } from '../../contract/callers.js';
import { ApiFault } from '../../contract/fault.js';
import type { CallContext } from '../../contract/handlers.js';
import type { Inventory } from '../inventory/inventory.js';
import type { CustomerRecord, MachineRecord, SensorRecord, TokenRecord } from '../inventory/records.js';
import { notFound } from '../records/faults.js';
import { requireId } from './validation.js';

/** May be bound to no customer. */
const UNBOUND: readonly Caller[] = [Caller.OPERATOR, Caller.SERVICE];

export type UserPrincipal = Extract<Principal, { kind: 'user' }>;

/** What handlers here use of a call. */
export type Call = Pick<CallContext, 'principal' | 'signal'>;

/** The inventory as one principal sees it. */
export class View {
  private constructor(
    private readonly inventory: Inventory,
    readonly user: UserPrincipal,
  ) {}

  /** Faults: api.denied for anybody but people and services, and for one of a customer that is bound to none. */
  static of(inventory: Inventory, principal: Principal): View {
    // Whoever is bound to no customer sees everything: that must be said, not left out by mistake.
    if (principal.kind !== 'user' || (!UNBOUND.includes(principal.caller) && !principal.customerId)) {
      throw new ApiFault('api.denied', 'this service is for people and services with a token');
    }
    return new View(inventory, principal);
  }

  get isOperator(): boolean {
    return this.user.caller === Caller.OPERATOR;
  }

  /** An operator, or a service that an operator has let see every customer. */
  get seesAll(): boolean {
    return this.isOperator || (this.user.caller === Caller.SERVICE && this.user.customerId === undefined);
  }

  /** The only customer that this principal sees, or undefined for all. */
  get bound(): string | undefined {
    return this.seesAll ? undefined : this.user.customerId;
  }

  /** For whom together there is so much of something: a customer's tokens, and each one that sees all. */
  get account(): string {
    return this.user.customerId ?? this.user.tokenId;
  }

  sees(customerId: string | undefined): boolean {
    return this.seesAll || (customerId !== undefined && customerId === this.user.customerId);
  }

  customer(field: string, id: string): CustomerRecord {
    const customer = this.inventory.customers.get(requireId(field, id));
    if (!customer || !this.sees(customer.id)) throw notFound('customer');
    return customer;
  }

  machine(field: string, id: string): MachineRecord {
    const machine = this.inventory.machines.get(requireId(field, id));
    if (!machine || !this.sees(machine.customerId)) throw notFound('machine');
    return machine;
  }

  sensor(field: string, id: string): SensorRecord {
    const sensor = this.inventory.sensors.get(requireId(field, id));
    if (!sensor || !this.sees(sensor.customerId)) throw notFound('sensor');
    return sensor;
  }

  token(field: string, id: string): TokenRecord {
    const token = this.inventory.tokens.get(requireId(field, id));
    if (!token || !this.sees(token.customerId)) throw notFound('token');
    return token;
  }

  /** Whose this is; undefined for what is not known, and for nobody's. */
  ownerOf(id: string): string | undefined {
    const { customers, machines, sensors, tokens } = this.inventory;
    return customers.get(id)?.id ?? (machines.get(id) ?? sensors.get(id) ?? tokens.get(id))?.customerId;
  }

  /** A stream outlives the moment in which its token was looked at. Faults: api.unauthenticated. */
  requireToken(): void {
    if (this.inventory.tokens.isInForce(this.user.tokenId)) return;
    throw new ApiFault('api.unauthenticated', 'the API token has been revoked, or has expired');
  }

  /** Who this is, for people: name and id of the token. */
  get name(): string {
    const { tokenId } = this.user;
    return `${this.inventory.tokens.get(tokenId)?.name || 'unnamed'} (${tokenId})`;
  }

  /** The customer that a list is limited to: the one asked for, else the principal's own, else none. */
  filter(field: string, asked: string): string | undefined {
    return asked === '' ? this.bound : this.customer(field, asked).id;
  }
}
