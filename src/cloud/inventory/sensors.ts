// Sensors: what is to be watched on a hub. Numbers come from the hub's version of desired state (desired-state.ts).
// Whether settings fit their kind is the caller's business: it knows the catalogue.
import { SensorConfig } from '../../../gen/occmesh/link/v1/link.js';
import { sameTarget, type Target, targetParts } from '../../identity/secret-sealing.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import { MOST } from '../quotas.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import type { Change } from '../records/table.js';
import { bumped, renderSensor } from './desired-state.js';
import type { MachineRecord, SecretRecord, SensorRecord } from './records.js';
import { type DescribeSecrets, removeSecrets, voidSecrets } from './secret-fields.js';
import { sensorId, type Tables } from './tables.js';

/** All sensors of a hub together, with their secrets, encoded. A desired state has to fit a message of 1 MiB with room to spare. */
const MAX_HUB_BYTES = 512 * 1024;

/** Everything about a sensor but where it is. Without a name it is called after its kind. */
export type NewSensor = Omit<SensorRecord, 'v' | 'machineId' | 'customerId' | 'number' | 'name'> & { name?: string };
export type SensorChange = {
  readonly [K in 'name' | 'settings' | 'intervalMs' | 'timeoutMs' | 'thresholds' | 'paused' | 'attempts']?:
    | SensorRecord[K]
    | undefined;
};

export class Sensors {
  readonly #tables: Tables;

  constructor(
    private readonly options: { readonly secretsOf: DescribeSecrets },
    private readonly modules: { journal: Journal<Tables>; clock: Clock },
  ) {
    this.#tables = modules.journal.tables;
  }

  /** By API id: machine, slash, number. */
  get(id: string): SensorRecord | undefined {
    return this.#tables.sensors.get(id);
  }

  of(machineId: string): Iterable<SensorRecord> {
    return this.#tables.sensors.group(machineId);
  }

  all(): Iterable<SensorRecord> {
    return this.#tables.sensors.all();
  }

  /** Called after each durable change, until the returned function is called. */
  onChange(listener: (change: Change<SensorRecord>) => void): () => void {
    return this.#tables.sensors.onChange(listener);
  }

  /**
   * Faults: inventory.not-found (the hub), inventory.unsuitable (no hub, retired), inventory.exists (name),
   * inventory.exhausted.
   */
  create(machineId: string, sensor: NewSensor): Promise<SensorRecord> {
    return this.modules.journal.change(() => {
      const hub = this.#tables.machines.latest(machineId);
      if (!hub) throw notFound('machine');
      requireHub(hub);
      const [added] = addSensors(this.#tables, hub, [sensor]);
      if (!added) throw new TypeError('a sensor was added, but there is none');
      return added;
    });
  }

  /** Faults: inventory.not-found, inventory.exists, inventory.unsuitable, inventory.invalid, inventory.exhausted. */
  update(id: string, change: SensorChange): Promise<SensorRecord> {
    return this.modules.journal.change(() => {
      const old = this.#found(id);
      const hub = this.#hubOf(old);
      requireHub(hub);
      const next: SensorRecord = {
        ...old,
        name: change.name ?? old.name,
        settings: change.settings ?? old.settings,
        intervalMs: change.intervalMs ?? old.intervalMs,
        timeoutMs: change.timeoutMs ?? old.timeoutMs,
        thresholds: change.thresholds ?? old.thresholds,
        paused: change.paused ?? old.paused,
        ...defined({ attempts: change.attempts ?? old.attempts }),
      };
      // Checked here and not only by the caller: each half may come from another change.
      if (next.timeoutMs >= next.intervalMs) {
        throw new InventoryFault(
          'inventory.invalid',
          `must be less than interval_ms (${next.intervalMs}), is ${next.timeoutMs}`,
          {
            permanent: true,
            field: 'timeout_ms',
          },
        );
      }
      if (JSON.stringify(next) === JSON.stringify(old)) return old;
      const others = [...this.#tables.sensors.latestGroup(hub.id)].filter((other) => other.number !== old.number);
      requireFreeName(others, next.name);
      this.#tables.sensors.put(next);
      this.#voidMisdirected(next);
      requireRoom(this.#tables, hub.id);
      this.#tables.machines.put(bumped(hub));
      return next;
    });
  }

  /** Faults: inventory.not-found, inventory.unsuitable. */
  remove(id: string): Promise<void> {
    return this.modules.journal.change(() => {
      const hub = this.#hubOf(this.#found(id));
      requireHub(hub);
      this.#tables.sensors.remove(id);
      removeSecrets(this.#tables, hub.id, (secret) => sensorId(hub.id, secret.sensor) === id);
      this.#tables.machines.put(bumped(hub));
    });
  }

  /** A secret never follows its sensor to another target. */
  #voidMisdirected(sensor: SensorRecord): void {
    const target = this.options.secretsOf(sensor)?.target;
    const stays = (given: Target) => target !== undefined && sameTarget(target, targetParts(given));
    const misdirected = (secret: SecretRecord) => secret.sensor === sensor.number && !stays(secret.target);
    voidSecrets(this.#tables, sensor.machineId, misdirected, 'target-changed');
  }

  #found(id: string): SensorRecord {
    const sensor = this.#tables.sensors.latest(id);
    if (!sensor) throw notFound('sensor');
    return sensor;
  }

  #hubOf(sensor: SensorRecord): MachineRecord {
    const hub = this.#tables.machines.latest(sensor.machineId);
    if (!hub) throw notFound('machine');
    return hub;
  }
}

/**
 * Inside a transaction: adds sensors to a hub, which gets one new version for each. `hub` must be its latest record.
 * Faults: inventory.exists, inventory.exhausted.
 */
export function addSensors(tables: Tables, hub: MachineRecord, sensors: readonly NewSensor[]): SensorRecord[] {
  const all = [...tables.sensors.latestGroup(hub.id)];
  const added: SensorRecord[] = [];
  for (const sensor of sensors) {
    const name = sensor.name ?? freeName(all, sensor.kind);
    requireFreeName(all, name);
    const number = bumped(hub, added.length + 1).configVersion;
    const record: SensorRecord = { v: 1, machineId: hub.id, customerId: hub.customerId, ...sensor, number, name };
    added.push(tables.sensors.put(record));
    all.push(record);
  }
  requireRoom(tables, hub.id);
  tables.machines.put(bumped(hub, added.length));
  return added;
}

export function requireHub(machine: MachineRecord): void {
  if (machine.role !== 'hub') {
    throw new InventoryFault('inventory.unsuitable', `${machine.name} is a connector and has no sensors`, {
      permanent: true,
      advice: 'Use the hub of the same machine: its id is the companion_id of the connector.',
    });
  }
  if (machine.retiredAtMs !== undefined) {
    throw new InventoryFault('inventory.unsuitable', `${machine.name} is retired`, { permanent: true });
  }
}

function requireFreeName(others: readonly SensorRecord[], name: string): void {
  if (!others.some((other) => other.name === name)) return;
  throw new InventoryFault('inventory.exists', `the hub has a sensor named ${JSON.stringify(name)} already`, {
    permanent: true,
  });
}

function freeName(others: readonly SensorRecord[], kind: string): string {
  const taken = new Set(others.map((other) => other.name));
  for (let n = 1; ; n++) {
    const name = n === 1 ? kind : `${kind} ${n}`;
    if (!taken.has(name)) return name;
  }
}

/** Inside a transaction: whether all that is to be watched still fits. Faults: inventory.exhausted. */
export function requireRoom(tables: Tables, hubId: string): void {
  const all = [...tables.sensors.latestGroup(hubId)];
  const secrets = [...tables.secrets.latestGroup(hubId)];
  let bytes = 0;
  for (const sensor of all) bytes += SensorConfig.encode(renderSensor(sensor, secrets)).finish().length;
  if (all.length <= MOST.sensors && bytes <= MAX_HUB_BYTES) return;
  throw new InventoryFault(
    'inventory.exhausted',
    `a hub has at most ${MOST.sensors} sensors, whose configurations and secrets take at most ${MAX_HUB_BYTES / 1024} KiB together`,
    { permanent: true },
  );
}
