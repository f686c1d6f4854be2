// What can go wrong with what the cloud has on record: inventory, alarms, channels. At the edge they become statuses
// (src/contract/status.ts), in enrolment failures inside the sealed answer (../enrollment/enrollment-service.ts).
import { Fault } from '../../kernel/fault.js';

export type InventoryCode =
  /** There is no such thing, or none that the caller may know of. */
  | 'inventory.not-found'
  /** The name is taken. */
  | 'inventory.exists'
  /** The thing is in a state in which this cannot be done: retired, or a connector where a hub is needed. */
  | 'inventory.unsuitable'
  /** A value breaks its limits. */
  | 'inventory.invalid'
  /** A limit on how many or how much has been reached. */
  | 'inventory.exhausted'
  /** What the request builds upon has changed meanwhile. */
  | 'inventory.conflict'
  /** The machine or its key has been revoked. */
  | 'inventory.revoked'
  /** A record or the revocation log cannot be read: written by a newer program, or damaged. */
  | 'inventory.damaged';

export class InventoryFault extends Fault<InventoryCode> {}

/** The one answer for what does not exist and for what belongs to somebody else. */
export function notFound(
  what: 'customer' | 'machine' | 'sensor' | 'token' | 'alarm' | 'maintenance' | 'channel',
): InventoryFault {
  return new InventoryFault('inventory.not-found', `no such ${what}`, { permanent: true });
}
