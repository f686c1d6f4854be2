// Maintenance: when nobody is told of alarms, once or by a schedule, for a machine, a connector with its hubs, or a customer.
import { Cron } from 'croner';
import { newId } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import type { Random } from '../../kernel/random.js';
import type { EventLog } from '../events/event-log.js';
import type { MachineRecord } from '../inventory/records.js';
import { MOST } from '../quotas.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import { maintenanceToProto } from './messages.js';
import type { MaintenanceRecord } from './records.js';
import type { AlarmTables } from './tables.js';

export type NewMaintenance = Omit<MaintenanceRecord, 'v' | 'id'>;

export interface MaintenanceModules {
  readonly journal: Journal<AlarmTables>;
  readonly events: EventLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly machine: (id: string) => MachineRecord | undefined;
  /** The connector of a hub, or the one that it had last; empty for none. */
  readonly connectorOf: (machineId: string) => string;
}

interface Beginning {
  readonly cron: Cron;
  readonly lookedAtMs: number;
  readonly atMs: number;
}

export class Maintenances {
  readonly #tables: AlarmTables;
  /** Those under way, by customer and machine; the empty machine is all of them. */
  #active: ReadonlySet<string> = new Set();
  /** Something has been planned or ended since that was looked up. */
  #isStale = true;
  /** Of those by a schedule: the last beginning that was looked for. Looking is dear, and there are many. */
  readonly #beginnings = new WeakMap<MaintenanceRecord, Beginning>();

  constructor(private readonly modules: MaintenanceModules) {
    this.#tables = modules.journal.tables;
    this.#tables.maintenances.onChange(() => {
      this.#isStale = true;
    });
  }

  get(id: string): MaintenanceRecord | undefined {
    return this.#tables.maintenances.get(id);
  }

  all(): Iterable<MaintenanceRecord> {
    return this.#tables.maintenances.all();
  }

  /** Whether nobody is told of this machine's alarms now. */
  covers(machineId: string): boolean {
    if (this.#isStale) this.#look();
    if (this.#active.size === 0) return false;
    const machine = this.modules.machine(machineId);
    if (!machine) return false;
    const { customerId, companionId = '' } = machine;
    // The empty one is the whole customer.
    const about = ['', machineId, companionId, this.modules.connectorOf(machineId)];
    return about.some((id) => this.#active.has(customerId + id));
  }

  isActive(maintenance: MaintenanceRecord): boolean {
    const now = this.modules.clock.now();
    const { fromMs, untilMs = Number.POSITIVE_INFINITY, schedule } = maintenance;
    if (now < fromMs || now >= untilMs) return false;
    if (!schedule) return true;
    let beginning = this.#beginnings.get(maintenance);
    // Until it is over, no other is of interest; a clock that was set back makes all of it void.
    if (!beginning || now < beginning.lookedAtMs || now >= beginning.atMs + schedule.durationMs) {
      const { cron = cronOf(schedule) } = beginning ?? {};
      // The first that could still be under way.
      const begins = cron.nextRun(new Date(Math.max(fromMs - 1, now - schedule.durationMs)));
      beginning = { cron, lookedAtMs: now, atMs: begins?.getTime() ?? Number.POSITIVE_INFINITY };
      this.#beginnings.set(maintenance, beginning);
    }
    return beginning.atMs <= now;
  }

  /** Faults: inventory.exhausted. */
  async plan(maintenance: NewMaintenance): Promise<MaintenanceRecord> {
    const { journal, clock, random } = this.modules;
    const planned = await journal.change(() => {
      const others = [...this.#tables.maintenances.latestGroup(maintenance.customerId)];
      if (others.length >= MOST.maintenances) {
        const message = `a customer has at most ${MOST.maintenances} maintenances`;
        throw new InventoryFault('inventory.exhausted', message, { permanent: true });
      }
      const id = newId(random, clock.now());
      const record: MaintenanceRecord = { v: 1, id, ...maintenance };
      journal.also(this.#event(record, this.isActive(record)));
      return this.#tables.maintenances.put(record);
    });
    this.modules.events.told();
    return planned;
  }

  /** Faults: inventory.not-found. */
  async end(id: string): Promise<void> {
    const { journal } = this.modules;
    await journal.change(() => {
      const maintenance = this.#tables.maintenances.latest(id);
      if (!maintenance) throw notFound('maintenance');
      this.#tables.maintenances.remove(id);
      journal.also(this.#event(maintenance, false));
    });
    this.modules.events.told();
  }

  /** Called each second: which are under way? Those that will never be again are removed. */
  sweep(): void {
    this.#look();
    const now = this.modules.clock.now();
    for (const { id, untilMs = now + 1 } of this.all()) {
      // Where that fails it is tried again.
      if (untilMs <= now) this.end(id).catch(() => undefined);
    }
  }

  #look(): void {
    const active = [...this.all()].filter((maintenance) => this.isActive(maintenance));
    this.#active = new Set(active.map(({ customerId, machineId = '' }) => customerId + machineId));
    this.#isStale = false;
  }

  #event(maintenance: MaintenanceRecord, active: boolean) {
    const value = maintenanceToProto(maintenance, active);
    return this.modules.events.append(maintenance.customerId, { $case: 'maintenance', value });
  }
}

/** Throws when the expression or the time zone cannot be read. */
export function cronOf({ cron, timeZone }: { readonly cron: string; readonly timeZone: string }): Cron {
  return new Cron(cron, { paused: true, mode: '5-part', ...defined({ timezone: timeZone || 'UTC' }) });
}
