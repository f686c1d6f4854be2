// Who did what: every call that changes something, by whomever it was made and however it ended, becomes an event. Of a
// request only ids are kept.
import { status as Status } from '@grpc/grpc-js';
import type { NamedId } from '../../../gen/occmesh/events/v1/events.js';
import { ContractFault } from '../../contract/fault.js';
import type { CallContext, Implementation } from '../../contract/handlers.js';
import type { AnyMethod, AnyService } from '../../contract/service.js';
import { statusOf } from '../../contract/status.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { EventLog } from '../events/event-log.js';
import type { Inventory } from '../inventory/inventory.js';
import type { Journal, TableGroup } from '../records/journal.js';
import { View } from './tenancy.js';

export interface AuditModules {
  /** Paths of the methods that change something. */
  readonly changes: ReadonlySet<string>;
  readonly journal: Journal<TableGroup>;
  readonly events: EventLog;
  readonly inventory: Inventory;
  /** Whose that is which is not in the inventory: alarms, maintenances, channels. */
  readonly ownerOf: (id: string) => string | undefined;
  readonly log: Logger;
}

type Run = (request: object, context: CallContext) => unknown;

/** The same implementation, its changes on record. */
export function audited<S extends AnyService>(
  service: S,
  implementation: Implementation<S>,
  modules: AuditModules,
): Implementation<S> {
  const changing = Object.entries(service).filter(([, method]) => modules.changes.has(method.path));
  const result = changing.map(([name, method]) => {
    const run = implementation[name] as unknown as Run;
    return [name, method.responseStream ? auditedStream(method, run, modules) : auditedCall(method, run, modules)];
  });
  return { ...implementation, ...Object.fromEntries(result) };
}

function auditedCall({ path }: AnyMethod, run: Run, modules: AuditModules): Run {
  return async (request, context) => {
    // Before the call: what it removes is nobody's afterwards.
    const whose = customerNamedIn(request, context, modules);
    let failure: unknown;
    try {
      return await run(request, context);
    } catch (thrown) {
      failure = thrown;
      throw thrown;
    } finally {
      await record(modules, path, { request, context, whose, failure });
    }
  };
}

function auditedStream({ path }: AnyMethod, run: Run, modules: AuditModules): Run {
  return async function* (request, context) {
    const whose = customerNamedIn(request, context, modules);
    // Whoever leaves early has had no answer.
    let failure: unknown = new ContractFault('contract.cancelled', 'the caller is gone');
    try {
      yield* run(request, context) as AsyncIterable<unknown>;
      failure = undefined;
    } catch (thrown) {
      failure = thrown;
      throw thrown;
    } finally {
      await record(modules, path, { request, context, whose, failure });
    }
  };
}

interface Call {
  readonly request: object;
  readonly context: CallContext;
  /** The customer that it concerns; undefined for the mesh as a whole. */
  readonly whose: string | undefined;
  readonly failure: unknown;
}

/** What was done is done: that it could not be written down is told to the log only. */
async function record(
  modules: AuditModules,
  method: string,
  { request, context, whose, failure }: Call,
): Promise<void> {
  const { journal, events, inventory, log } = modules;
  const { principal, peer } = context;
  if (principal.kind !== 'user') return;
  const by = View.of(inventory, principal).name;
  const status = failure === undefined ? 'OK' : (Status[statusOf(failure)] ?? 'UNKNOWN');
  const value = { by, caller: principal.caller, method, ids: idsIn(request), status, peer };
  try {
    await journal.transact(() => journal.also(events.append(whose, { $case: 'audit', value })));
    events.told();
  } catch (failed) {
    log.error({ method, by, status, cause: describe(failed) }, 'a change is not on record in the audit log');
  }
}

const ID_FIELD = /^(?:id|.*Id)$/;
const MAX_ID = 128;

function idsIn(request: object): NamedId[] {
  return Object.entries(request).flatMap(([field, id]) => {
    if (!ID_FIELD.test(field) || field === 'requestId' || typeof id !== 'string' || id === '') return [];
    return [{ field: field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), id: id.slice(0, MAX_ID) }];
  });
}

/** What an operator does to a customer is that customer's, too. */
function customerNamedIn(
  request: object,
  { principal }: CallContext,
  { inventory, ownerOf }: AuditModules,
): string | undefined {
  if (principal.kind !== 'user') return undefined;
  if (principal.customerId !== undefined) return principal.customerId;
  const view = View.of(inventory, principal);
  for (const { id } of idsIn(request)) {
    const found = view.ownerOf(id) ?? ownerOf(id);
    if (found !== undefined) return found;
  }
  return undefined;
}
