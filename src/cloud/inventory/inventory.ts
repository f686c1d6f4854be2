// The entry of this folder: customers, machines, sensors and tokens, all in memory, every change written through.
// Sessions get what they need from `machines` and `reports`, the API from all parts, enrolment from `admission`.
import { join } from 'node:path';
import type { Clock } from '../../kernel/clock.js';
import type { Logger } from '../../kernel/log.js';
import type { Random } from '../../kernel/random.js';
import { Scope, type Stoppable } from '../../kernel/scope.js';
import type { Store } from '../../storage/store.js';
import { Journal } from '../records/journal.js';
import { Admission } from './admission.js';
import { Customers } from './customers.js';
import { Machines, replacedKeysOf, retireIn, revocationOf } from './machines.js';
import { Reports } from './reports.js';
import { Revocations } from './revocations.js';
import { Sealing } from './sealing.js';
import type { DescribeSecrets } from './secret-fields.js';
import { Secrets } from './secrets.js';
import { type NewSensor, Sensors } from './sensors.js';
import { Tables } from './tables.js';
import { revokeIn, Tokens } from './tokens.js';

export interface InventoryOptions {
  /** Of the cloud's data; `revoked.log` is made in it. It must exist. */
  readonly directory: string;
  /** What every new hub begins with. */
  readonly defaultSensors: readonly NewSensor[];
  /** Which secrets a sensor may have, and for which target; undefined: none. */
  readonly secretsOf: DescribeSecrets;
  /** Of one customer. Default: see quotas.ts. */
  readonly mostMachines?: number;
}

export interface InventoryModules {
  /** Stays the caller's: not stopped here. */
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class Inventory implements Stoppable {
  private constructor(
    readonly customers: Customers,
    readonly machines: Machines,
    readonly reports: Reports,
    readonly sensors: Sensors,
    readonly secrets: Secrets,
    readonly sealing: Sealing,
    readonly tokens: Tokens,
    readonly admission: Admission,
    private readonly scope: Scope,
  ) {}

  /**
   * Reads everything, and brings store and revocation log into line: what either of them says is retired, is.
   * Faults: inventory.damaged, storage.*; the system's errors about the file.
   */
  static async open(options: InventoryOptions, modules: InventoryModules): Promise<Inventory> {
    const scope = new Scope();
    try {
      const revocations = scope.own(await Revocations.open(join(options.directory, 'revoked.log'), modules.log));
      const journal = new Journal(modules.store, new Tables());
      scope.defer(() => journal.close());
      await journal.load();
      await align(journal, revocations, modules.clock);
      const all = { ...modules, journal, revocations };
      return new Inventory(
        new Customers(all),
        new Machines(all),
        new Reports(all),
        new Sensors(options, all),
        new Secrets(options, all),
        new Sealing(all),
        new Tokens(all),
        new Admission(options, all),
        scope,
      );
    } catch (thrown) {
      await scope.stop();
      throw thrown;
    }
  }

  /** Call it when nobody uses the inventory any more, and before the store is stopped. */
  stop(): Promise<void> {
    return this.scope.stop();
  }
}

async function align(journal: Journal<Tables>, revocations: Revocations, clock: Clock): Promise<void> {
  const { tables } = journal;
  const now = clock.now();
  const retired = [...tables.machines.all()].filter((machine) => machine.retiredAtMs !== undefined);
  const ended = [...tables.tokens.all()].filter((token) => token.revokedAtMs !== undefined);
  await revocations.add([
    ...retired.map((machine) => revocationOf(machine, machine.retiredAtMs as typeof now)),
    ...[...tables.machines.all()].flatMap((machine) => replacedKeysOf(machine) ?? []),
    ...ended.map((token) => ({ v: 1 as const, atMs: token.revokedAtMs ?? now, tokenId: token.id })),
  ]);
  await journal.transact(() => {
    for (const { machineId } of revocations.machines()) retireIn(tables, machineId, now);
    for (const token of [...tables.tokens.latestAll()])
      if (revocations.hasToken(token.id)) revokeIn(tables, token.id, now);
  });
}
