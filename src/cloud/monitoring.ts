// From readings and sessions to alarms: how states, alarms, maintenance and events work together in a running cloud, and
// what is done about them as time passes.
import { MachineState } from '../../gen/occmesh/inventory/v1/inventory.js';
import { every } from '../kernel/clock.js';
import { type Duration, days, hours, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Scope } from '../kernel/scope.js';
import type { Store } from '../storage/store.js';
import { type AlarmModules, Alarms } from './alarms/alarms.js';
import { Maintenances } from './alarms/maintenance.js';
import { opinionOn, verdictOf } from './alarms/opinion.js';
import { AlarmTables } from './alarms/tables.js';
import { EventLog } from './events/event-log.js';
import type { Inventory } from './inventory/inventory.js';
import { Journal } from './records/journal.js';
import type { Presence } from './sessions/presence.js';
import { STATES } from './states/liveness.js';
import { shownState } from './states/machine-state.js';
import { SensorStates } from './states/sensor-states.js';

/** Closed alarms and events are kept for so long. */
const KEPT = days(90);

/** What of a machine's record makes an alarm, or explains one away. */
const WATCHED = ['retiredAtMs', 'quarantined', 'maySleep'] as const;

/** What is needed of the inventory. */
export interface MonitoredInventory {
  readonly customers: Pick<Inventory['customers'], 'ids'>;
  readonly machines: Pick<Inventory['machines'], 'get' | 'all' | 'onChange'>;
  readonly sensors: Pick<Inventory['sensors'], 'get' | 'of' | 'all' | 'onChange'>;
}

export interface MonitoringModules extends Pick<AlarmModules, 'clock' | 'random' | 'log'> {
  readonly store: Store;
  readonly inventory: MonitoredInventory;
  readonly presence: Presence;
}

export class Monitoring {
  readonly journal: Journal<AlarmTables>;
  readonly events: EventLog;
  readonly maintenances: Maintenances;
  readonly alarms: Alarms;
  readonly states: SensorStates;

  private constructor(private readonly modules: MonitoringModules) {
    const { store, clock, random, log, inventory, presence } = modules;
    this.journal = new Journal(store, new AlarmTables());
    this.events = new EventLog({ store, clock, customers: () => inventory.customers.ids() });
    const common = { journal: this.journal, events: this.events, clock, random, log };
    this.maintenances = new Maintenances({
      ...common,
      machine: (id) => inventory.machines.get(id),
      connectorOf: (id) => presence.connectorOf(id),
    });
    this.alarms = new Alarms({
      ...common,
      opinionOn: (subject) => opinionOn(subject, { inventory, presence, states: this.states }),
      inMaintenance: (id) => this.maintenances.covers(id),
    });
    this.states = new SensorStates({
      clock,
      sensors: inventory.sensors,
      presence,
      isQuarantined: (id) => inventory.machines.get(id)?.quarantined !== undefined,
      knownBefore: (machineId, sensor) => verdictOf(this.alarms.of({ machineId, sensor })),
      onChange: (machineId, sensor) => this.alarms.touch({ machineId, sensor }),
    });
  }

  /** Reads everything back. Faults: inventory.damaged, storage.damaged. */
  static async open(modules: MonitoringModules, scope: Scope): Promise<Monitoring> {
    const monitoring = new Monitoring(modules);
    scope.defer(() => monitoring.journal.close());
    scope.defer(modules.store.onReset(() => monitoring.events.load()));
    await monitoring.journal.load();
    await monitoring.events.load();
    return monitoring;
  }

  /** Everything is known that was before the start: from now on the present counts. */
  begin(scope: Scope): void {
    const { inventory } = this.modules;
    this.#listen(scope);
    for (const sensor of inventory.sensors.all())
      if (sensor.paused) this.states.configured({ before: undefined, after: sensor });
    // What has changed while nobody was there.
    for (const alarm of this.alarms.open()) this.alarms.touch(alarm);
    this.#keepTime(scope);
    scope.defer(() => this.alarms.settled());
  }

  /** What is heard of sessions and configuration. */
  #listen(scope: Scope): void {
    const { inventory, presence } = this.modules;
    scope.defer(
      presence.onChange((id, after, before) => {
        this.alarms.touch({ machineId: id });
        this.#tellChange(id, STATES[before], STATES[after]);
      }),
    );
    scope.defer(inventory.sensors.onChange((change) => this.states.configured(change)));
    scope.defer(
      inventory.machines.onChange(({ before, after }) => {
        // Reports of what they run come all the time.
        if (!after || WATCHED.every((field) => before?.[field] === after[field])) return;
        this.alarms.touch({ machineId: after.id });
        if (after.retiredAtMs === undefined) return;
        for (const { number } of inventory.sensors.of(after.id))
          this.alarms.touch({ machineId: after.id, sensor: number });
      }),
    );
  }

  /** What comes by time alone: windows and delays end, sensors fall silent, what is old is forgotten. */
  #keepTime(scope: Scope): void {
    const { clock, inventory, log } = this.modules;
    const regularly = (period: Duration, action: () => void) => {
      const timer = every(clock, period, action);
      scope.defer(() => timer.disarm());
    };
    regularly(seconds(1), () => {
      this.maintenances.sweep();
      this.alarms.sweep();
    });
    regularly(seconds(5), () => {
      for (const { id, role } of inventory.machines.all()) if (role === 'hub') this.states.sweep(id);
    });
    regularly(hours(1), () => {
      const before = clock.now() - KEPT;
      Promise.all([this.alarms.forget(before), this.events.forget(before)]).catch((thrown) => {
        log.warn({ cause: describe(thrown) }, 'old alarms and events could not be removed; tried again in an hour');
      });
    });
  }

  /** That machines come back after a start of the cloud is no news. */
  #tellChange(machineId: string, before: MachineState, after: MachineState): void {
    const { inventory, log } = this.modules;
    const machine = inventory.machines.get(machineId);
    if (!machine || before === after || before === MachineState.UNKNOWN) return;
    const change = { machineId, before: shownState(before, machine), after: shownState(after, machine) };
    this.journal
      .transact(() => this.journal.also(this.events.append(machine.customerId, { $case: 'machine', value: change })))
      .then(() => this.events.told())
      .catch((thrown) =>
        log.warn({ machine: machineId, cause: describe(thrown) }, 'a change of state is not on record'),
      );
  }
}
