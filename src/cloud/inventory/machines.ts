// Machines as the rest of the cloud sees them: looking them up, what they should run, what operators change about them,
// and how their membership ends. How it begins is in admission.ts; what machines report is in reports.ts.
import type { DesiredState } from '../../../gen/occmesh/link/v1/link.js';
import { VerifyKey } from '../../identity/keys.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import type { EpochMs } from '../../kernel/duration.js';
import { notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import type { Change } from '../records/table.js';
import { bumped, bumpHubs, lanAddressesOf, renderDesiredState } from './desired-state.js';
import type { MachineRecord, MachineRole } from './records.js';
import type { KeyRevocation, MachineRevocation, Revocations } from './revocations.js';
import { removeSecrets } from './secret-fields.js';
import { machineGroup, type Tables } from './tables.js';

export interface MachineModules {
  readonly journal: Journal<Tables>;
  readonly revocations: Revocations;
  readonly clock: Clock;
}

export class Machines {
  readonly #tables: Tables;
  /** Parsed once. By the array of the record, which later records of the machine share until its keys change. */
  readonly #verifyKeys = new WeakMap<MachineRecord['keys'], readonly VerifyKey[]>();
  readonly #onDesiredState = new Set<(machineId: string) => void>();
  readonly #onRevoked = new Set<(machineId: string, keyId: Buffer) => void>();

  constructor(private readonly modules: MachineModules) {
    this.#tables = modules.journal.tables;
    this.#tables.machines.onChange(({ before, after }) => {
      if (!before || !after) return;
      const released = before.quarantined !== undefined && after.quarantined === undefined;
      if (!released && before.configVersion === after.configVersion) return;
      for (const listener of [...this.#onDesiredState]) listener(after.id);
    });
  }

  get(id: string): MachineRecord | undefined {
    return this.#tables.machines.get(id);
  }

  byKey(keyId: Uint8Array): MachineRecord | undefined {
    return this.#tables.machines.byAlias(Buffer.from(keyId).toString('hex'));
  }

  all(): Iterable<MachineRecord> {
    return this.#tables.machines.all();
  }

  /** Of one customer, or of all of them. */
  *list(customerId: string | undefined): Iterable<MachineRecord> {
    if (customerId === undefined) return yield* this.all();
    for (const role of ['connector', 'hub'] as const) {
      yield* this.#tables.machines.group(machineGroup(customerId, role));
    }
  }

  /** Every key that this machine ever had; empty for an unknown one. */
  verifyKeys(id: string): readonly VerifyKey[] {
    const keys = this.get(id)?.keys;
    if (!keys) return [];
    let parsed = this.#verifyKeys.get(keys);
    if (!parsed) {
      parsed = keys.map((key) => VerifyKey.fromSpki(Buffer.from(key.spki, 'base64')));
      this.#verifyKeys.set(keys, parsed);
    }
    return parsed;
  }

  isRevoked(keyId: Uint8Array): boolean {
    return this.modules.revocations.hasKey(keyId);
  }

  /** Key ids that are revoked, of machines of a customer, of one role or of both. */
  revokedKeys(customerId: string, role?: MachineRole): Buffer[] {
    const keys: Buffer[] = [];
    for (const entry of this.modules.revocations.keys()) {
      if (entry.customerId !== customerId || (role !== undefined && entry.role !== role)) continue;
      for (const keyId of entry.keyIds) keys.push(Buffer.from(keyId, 'hex'));
    }
    return keys;
  }

  /** What the hub should be and do; undefined for an unknown one. */
  desiredState(id: string): DesiredState | undefined {
    const machine = this.get(id);
    const customer = machine && this.#tables.customers.get(machine.customerId);
    if (!machine || !customer) return undefined;
    const connectors = lanAddressesOf(this.#tables.machines.group(machineGroup(customer.id, 'connector')));
    const { sensors, secrets } = this.#tables;
    return renderDesiredState({
      machine,
      customer,
      sensors: sensors.group(id),
      secrets: secrets.group(id),
      connectors,
    });
  }

  /** Called after each durable change, until the returned function is called. */
  onChange(listener: (change: Change<MachineRecord>) => void): () => void {
    return this.#tables.machines.onChange(listener);
  }

  /** Called with a hub's id when its desired state has another version, or when its quarantine has ended. */
  onDesiredStateChanged(listener: (machineId: string) => void): () => void {
    this.#onDesiredState.add(listener);
    return () => this.#onDesiredState.delete(listener);
  }

  /** Called for each key of a machine as soon as it is revoked. */
  onRevoked(listener: (machineId: string, keyId: Buffer) => void): () => void {
    this.#onRevoked.add(listener);
    return () => this.#onRevoked.delete(listener);
  }

  /** Display name and policy. Faults: inventory.not-found. */
  update(
    id: string,
    change: { name?: string | undefined; directAllowed?: boolean | undefined; maySleep?: boolean | undefined },
  ): Promise<MachineRecord> {
    return this.modules.journal.change(() => {
      const old = this.#found(id);
      const name = change.name ?? old.name;
      const own = change.directAllowed ?? old.directAllowed;
      const maySleep = change.maySleep ?? old.maySleep;
      if (name === old.name && own === old.directAllowed && maySleep === old.maySleep) return old;
      const next = { ...old, name, ...defined({ directAllowed: own, maySleep }) };
      const policy = this.#tables.customers.latest(old.customerId)?.directAllowed;
      const differs = name !== old.name || (next.directAllowed ?? policy) !== (old.directAllowed ?? policy);
      return this.#tables.machines.put(inUse(old) && old.role === 'hub' && differs ? bumped(next) : next);
    });
  }

  /**
   * Ends the membership of a machine, and with a connector that of its embedded hub. From the moment that the
   * revocation log has it, whatever else fails, its keys are worth nothing. Faults: inventory.not-found; storage.*.
   */
  async retire(id: string): Promise<MachineRecord> {
    const machine = this.get(id);
    if (!machine) throw notFound('machine');
    const embedded = machine.role === 'connector' && machine.companionId ? this.get(machine.companionId) : undefined;
    const now = this.modules.clock.now();
    const both = embedded ? [machine, embedded] : [machine];
    const fresh = both.filter((one) => one.keys.some((key) => !this.isRevoked(Buffer.from(key.keyId, 'hex'))));
    await this.modules.revocations.add(both.map((one) => revocationOf(one, now)));
    for (const one of fresh) {
      for (const key of one.keys) {
        for (const listener of [...this.#onRevoked]) listener(one.id, Buffer.from(key.keyId, 'hex'));
      }
    }
    return this.modules.journal.change(() => {
      for (const one of both) retireIn(this.#tables, one.id, now);
      return this.#found(id);
    });
  }

  #found(id: string): MachineRecord {
    const machine = this.#tables.machines.latest(id);
    if (!machine) throw notFound('machine');
    return machine;
  }
}

const inUse = (machine: MachineRecord): boolean => machine.retiredAtMs === undefined;

/** Inside a transaction. Nothing happens to a machine that is unknown or retired already. */
export function retireIn(tables: Tables, id: string, now: EpochMs): void {
  const machine = tables.machines.latest(id);
  if (!machine || !inUse(machine)) return;
  tables.machines.put({ ...machine, retiredAtMs: now });
  // Nobody can use them any more.
  removeSecrets(tables, id);
  if (machine.lanAddresses.length > 0) bumpHubs(tables, machine.customerId, () => true);
}

/** The keys that a machine has replaced; undefined when there are none. */
export function replacedKeysOf({ id, customerId, role, keys }: MachineRecord): KeyRevocation | undefined {
  const replaced = keys.filter((key) => key.replacedAtMs !== undefined);
  const atMs = Math.max(...replaced.map((key) => key.replacedAtMs ?? 0));
  const keyIds = replaced.map((key) => key.keyId);
  return replaced.length === 0 ? undefined : { v: 1, atMs, replacedOf: id, customerId, role, keyIds };
}

export function revocationOf(machine: MachineRecord, now: EpochMs): MachineRevocation {
  const { id, customerId, role, keys } = machine;
  return { v: 1, atMs: now, machineId: id, customerId, role, keyIds: keys.map((key) => key.keyId) };
}
