// A customer's machines as monitoring sees them: plain records, sessions by hand, readings as signed batches would bring
// them, virtual time, and a store in memory that can be started again.
import { MachineState } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { Path } from '../../../../gen/occmesh/link/v1/link.js';
import type { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { AlarmRecord, NoticeRecord } from '../../../../src/cloud/alarms/records.js';
import type { MachineRecord, SensorRecord } from '../../../../src/cloud/inventory/records.js';
import { Monitoring } from '../../../../src/cloud/monitoring.js';
import type { Change } from '../../../../src/cloud/records/table.js';
import { Presence } from '../../../../src/cloud/sessions/presence.js';
import { uuidBytes } from '../../../../src/identity/uuid.js';
import { epochMs, seconds } from '../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { Scope } from '../../../../src/kernel/scope.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { packBatch, unpackBatch } from '../../../../src/telemetry/batch.js';
import type { Flush } from '../../../../src/telemetry/reading.js';
import { FakeClock } from '../../../support/fake-clock.js';

export const CUSTOMER = '01890000-0000-7000-8000-000000000001';
export const uuidOf = (n: number): string => `01890000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
export const HEARTBEAT = seconds(10);
const PATIENCE = seconds(45);
export const INTERVAL = 60_000;

export class Observed implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly machines = new Map<string, MachineRecord>();
  readonly sensors = new Map<string, SensorRecord>();
  presence = new Presence(this.clock, PATIENCE);
  /** Machines that give a sign of life. */
  readonly alive = new Set<string>();
  readonly #connectors = new Map<string, string>();
  readonly #flushes = new Map<string, number>();
  readonly #onMachine = new Set<(change: Change<MachineRecord>) => void>();
  readonly #onSensor = new Set<(change: Change<SensorRecord>) => void>();
  #scope = new Scope();

  private constructor(
    public store: MemoryStore,
    public monitoring: Monitoring,
  ) {}

  static async start(store = new MemoryStore()): Promise<Observed> {
    const observed = new Observed(store, undefined as never);
    await observed.#begin();
    return observed;
  }

  async #begin(): Promise<void> {
    this.#scope = new Scope();
    this.presence = new Presence(this.clock, PATIENCE);
    const { store, clock, presence } = this;
    const inventory = {
      customers: { ids: () => [CUSTOMER] },
      machines: {
        get: (id: string) => this.machines.get(id),
        all: () => this.machines.values(),
        onChange: listenTo(this.#onMachine),
      },
      sensors: {
        get: (id: string) => this.sensors.get(id),
        of: (machineId: string) => [...this.sensors.values()].filter((sensor) => sensor.machineId === machineId),
        all: () => this.sensors.values(),
        onChange: listenTo(this.#onSensor),
      },
    };
    const modules = { store, inventory, presence, clock, random: systemRandom, log: silentLogger };
    this.monitoring = await Monitoring.open(modules, this.#scope);
    for (const id of this.machines.keys()) {
      const connectorId = this.#connectors.get(id) ?? '';
      this.presence.expect(id, { lastSeen: epochMs(1), shutDown: false, connectorId });
    }
    this.monitoring.begin(this.#scope);
  }

  /** The cloud is killed and comes back after `down` seconds: nobody has a session. */
  async restart(down = 5): Promise<void> {
    await this.#scope.stop();
    this.store = this.store.restarted();
    this.alive.clear();
    await this.clock.advance(seconds(down));
    await this.#begin();
  }

  machine(n: number, role: 'hub' | 'connector', change: Partial<MachineRecord> = {}): string {
    const id = uuidOf(n);
    const before = this.machines.get(id);
    const after = { id, customerId: CUSTOMER, role, name: `${role} ${n}`, ...before, ...change } as MachineRecord;
    this.machines.set(id, after);
    for (const listener of this.#onMachine) listener({ before, after });
    return id;
  }

  sensor(machineId: string, number: number, change: Partial<SensorRecord> | null = {}): void {
    const id = `${machineId}/${number}`;
    const before = this.sensors.get(id);
    const usual = { machineId, customerId: CUSTOMER, number, intervalMs: INTERVAL, timeoutMs: 10_000, paused: false };
    const after = change === null ? undefined : ({ ...usual, ...before, ...change } as SensorRecord);
    if (after) this.sensors.set(id, after);
    else this.sensors.delete(id);
    for (const listener of this.#onSensor) listener({ before, after });
  }

  up(machineId: string, connectorId = '', direct = false): void {
    const isConnector = this.machines.get(machineId)?.role === 'connector';
    const path = isConnector ? Path.UNSPECIFIED : connectorId === '' || direct ? Path.DIRECT : Path.CONNECTOR;
    if (path === Path.CONNECTOR) this.#connectors.set(machineId, connectorId);
    this.presence.up(machineId, { path, connectorId, software: '', clockMs: this.clock.now() });
    this.alive.add(machineId);
  }

  down(machineId: string, why: 'gone' | 'shut-down' = 'gone'): void {
    this.alive.delete(machineId);
    this.presence.down(machineId, why);
  }

  /** As time passes, whoever is alive says so. */
  async pass(howLong: number): Promise<void> {
    for (let second = 0; second < howLong; second++) {
      if (second % 10 === 0) {
        for (const id of this.alive) {
          this.presence.heartbeat(id, { queuedReadings: 0, queuedAgeMs: 0, clockMs: this.clock.now() });
        }
      }
      await this.clock.advance(seconds(1));
      this.presence.sweep();
    }
    await this.monitoring.alarms.settled();
  }

  /** Stores readings of one sensor, one flush each, in one batch. `at`: seconds from now. */
  async readings(
    machineId: string,
    number: number,
    states: readonly State[],
    at: (i: number) => number = () => 0,
  ): Promise<void> {
    const first = this.#flushes.get(machineId) ?? 0;
    this.#flushes.set(machineId, first + states.length);
    const flushes = states.map((state, i): Flush => {
      const takenAt = epochMs(this.clock.now() + 1_000 * at(i));
      return {
        number: first + i,
        readings: [{ sensor: number, takenAt, state, message: `state ${state}`, values: [] }],
      };
    });
    await this.stored(machineId, flushes);
  }

  /** Numbers for flushes that are sent later than those after them. */
  reserve(machineId: string, count: number): number {
    const first = this.#flushes.get(machineId) ?? 0;
    this.#flushes.set(machineId, first + count);
    return first;
  }

  async stored(machineId: string, flushes: readonly Flush[]): Promise<void> {
    const [{ number: firstFlush } = { number: 0 }] = flushes;
    const batch = unpackBatch(packBatch({ log: LOG, firstFlush, chain: Buffer.alloc(16) }, flushes));
    const hub = { customer: uuidBytes(CUSTOMER), machine: uuidBytes(machineId) };
    this.monitoring.states.stored(hub, LOG, batch);
    await this.monitoring.alarms.settled();
  }

  open(): AlarmRecord[] {
    return [...this.monitoring.alarms.open()];
  }

  all(): AlarmRecord[] {
    return [...this.monitoring.alarms.all()];
  }

  notices(): NoticeRecord[] {
    return [...this.monitoring.journal.tables.notices.all()];
  }

  /** A channel that takes everything at once. */
  async channel(change: Partial<{ minSeverity: 'warning' | 'critical'; deferMs: number }> = {}): Promise<string> {
    const { journal } = this.monitoring;
    const id = uuidOf(0xc000 + journal.tables.channels.size);
    const way = { kind: 'webhook', url: 'https://example.net/' } as const;
    await journal.transact(() =>
      journal.tables.channels.put({ v: 1, id, name: 'all', way, minSeverity: 'warning', deferMs: 0, ...change }),
    );
    return id;
  }

  state(machineId: string): string {
    return MachineState[this.presence.of(machineId).state];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.stop();
    await this.store.stop();
  }
}

export const LOG = Buffer.alloc(16, 7);

const listenTo =
  <T>(listeners: Set<(change: T) => void>) =>
  (listener: (change: T) => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
