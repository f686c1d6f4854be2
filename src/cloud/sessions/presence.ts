// Which machine is how, as far as sessions tell: live facts in memory, for people and for what must be decided.
import type { MachineState } from '../../../gen/occmesh/inventory/v1/inventory.js';
import { Path } from '../../../gen/occmesh/link/v1/link.js';
import type { Clock } from '../../kernel/clock.js';
import type { Duration, EpochMs } from '../../kernel/duration.js';
import { checkEdge } from '../../kernel/machine.js';
import { LIVENESS_EDGES, type Liveness, STATES } from '../states/liveness.js';

/** What is known of one machine right now. */
export interface PresenceFacts {
  readonly state: MachineState;
  readonly path: Path;
  readonly connectorId: string;
  readonly lastSeenMs: number;
  readonly queuedReadings: number;
  readonly queuedAgeMs: number;
  readonly clockOffsetMs: number;
  readonly software: string;
  readonly hubCount: number;
  /** It is direct, and the connector that it had is lost. */
  readonly connectorLost: boolean;
}

interface Mutable extends Omit<PresenceFacts, 'state' | 'hubCount' | 'connectorLost'> {
  liveness: Liveness;
  /** Monotonic time at which waiting ends. */
  deadline: number;
  /** Monotonic time at which it was last heard. */
  heardAt: number;
  /** Monotonic time since when it has been there, but for pauses within its patience. */
  upAt: number;
  /** Monotonic time at which it came last, after a pause of any length. */
  cameAt: number;
  /** The connector that it had before it went direct. */
  formerConnectorId: string;
  path: Path;
  connectorId: string;
  lastSeenMs: number;
  queuedReadings: number;
  queuedAgeMs: number;
  clockOffsetMs: number;
  software: string;
}

/** A clock that is wrong by more is as wrong as this; the difference of two times may be no number that can be sent. */
const MOST_OFFSET_MS = 2 ** 52;

/**
 * What comes back with something else has this many times its patience: all machines after a start of the cloud, hubs when
 * their connector returns. Whoever has looked for a way in vain looks again after a minute at most, and must not become an
 * alarm because somebody else was quicker.
 */
const RETURN_GRACE = 6;

export type LivenessListener = (machineId: string, after: Liveness, before: Liveness) => void;

export class Presence {
  readonly #machines = new Map<string, Mutable>();
  readonly #listeners = new Set<LivenessListener>();

  /** A machine that falls silent is given `patience`: three heartbeats and a grace. */
  constructor(
    private readonly clock: Clock,
    private readonly patience: Duration,
  ) {}

  of(machineId: string): PresenceFacts {
    const m = this.#machine(machineId);
    const count = () => this.#countBehind(machineId, 'online');
    return {
      /** Counted when it is asked for. */
      get hubCount() {
        return count();
      },
      state: STATES[m.liveness],
      path: m.path,
      connectorId: m.connectorId,
      lastSeenMs: m.lastSeenMs,
      queuedReadings: m.queuedReadings,
      queuedAgeMs: m.queuedAgeMs,
      clockOffsetMs: m.clockOffsetMs,
      software: m.software,
      connectorLost: m.path === Path.DIRECT && this.#machines.get(m.formerConnectorId)?.liveness === 'lost',
    };
  }

  liveness(machineId: string): Liveness {
    return this.#machines.get(machineId)?.liveness ?? 'never-seen';
  }

  /** Its clock minus the cloud's, milliseconds; 0 for one that is unknown. */
  clockOffset(machineId: string): number {
    return this.#machines.get(machineId)?.clockOffsetMs ?? 0;
  }

  /** Monotonic time since when it has been there; undefined when it is not. Short pauses do not count. */
  upSince(machineId: string): number | undefined {
    const m = this.#machines.get(machineId);
    return m?.liveness === 'online' ? m.upAt : undefined;
  }

  /** The connector that it has, or had last; empty for none. */
  connectorOf(machineId: string): string {
    const m = this.#machines.get(machineId);
    return m ? m.connectorId || m.formerConnectorId : '';
  }

  /** How many hubs, of those that count, cannot be reached because of this connector. */
  unreachableBehind(connectorId: string, counts: (hubId: string) => boolean): number {
    return this.#countBehind(connectorId, 'unreachable', counts);
  }

  /** Calls `listener` after every change, until the returned function is called. */
  onChange(listener: LivenessListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** After a start: a machine that has been seen before is given time to come back. */
  expect(machineId: string, known: { lastSeen: EpochMs; shutDown: boolean; connectorId: string }): void {
    const m = this.#machine(machineId);
    m.lastSeenMs = known.lastSeen;
    m.connectorId = known.connectorId;
    m.path = known.connectorId === '' ? Path.UNSPECIFIED : Path.CONNECTOR;
    m.deadline = this.clock.monotonic() + this.patience * RETURN_GRACE;
    this.#to(machineId, m, known.shutDown ? 'shut-down' : 'expected');
  }

  up(machineId: string, facts: { path: Path; connectorId: string; software: string; clockMs: number }): void {
    const m = this.#machine(machineId);
    const now = this.clock.monotonic();
    if (!isIn(m, 'online', 'waiting')) m.upAt = now;
    m.cameAt = now;
    if (m.connectorId !== '') m.formerConnectorId = m.connectorId;
    m.path = facts.path;
    m.connectorId = facts.connectorId;
    m.software = facts.software;
    this.#seen(m, facts.clockMs);
    this.#to(machineId, m, 'online');
  }

  heartbeat(machineId: string, facts: { queuedReadings: number; queuedAgeMs: number; clockMs: number }): void {
    const m = this.#machine(machineId);
    m.queuedReadings = facts.queuedReadings;
    m.queuedAgeMs = facts.queuedAgeMs;
    this.#seen(m, facts.clockMs);
  }

  down(machineId: string, why: 'shut-down' | 'gone'): void {
    const m = this.#machine(machineId);
    if (m.liveness !== 'online') return;
    m.deadline = this.clock.monotonic() + this.patience;
    this.#to(machineId, m, why === 'shut-down' ? 'shut-down' : 'waiting');
  }

  /**
   * Called every few seconds: whoever has waited long enough is lost, or unreachable when the way to it is gone. A hub is
   * judged after its connector, never before: a connector that is just being given time must not make its hubs alarms.
   */
  sweep(): void {
    const now = this.clock.monotonic();
    for (const [id, m] of this.#machines) if (m.path !== Path.CONNECTOR) this.#judge(id, m, now);
    for (const [id, m] of this.#machines) if (m.path === Path.CONNECTOR) this.#judge(id, m, now);
  }

  #judge(id: string, m: Mutable, now: Duration): void {
    if (isIn(m, 'online', 'shut-down', 'never-seen')) return;
    const connector = m.path === Path.CONNECTOR ? this.#machines.get(m.connectorId) : undefined;
    const wayIsGone = connector !== undefined && isIn(connector, 'lost', 'shut-down');
    if (wayIsGone) {
      if (m.liveness !== 'unreachable' && (m.liveness === 'lost' || now >= m.deadline)) this.#to(id, m, 'unreachable');
      return;
    }
    // A connector that has not been heard since the hub's time was up may have its sign of life with it.
    const isOpen = connector && (isIn(connector, 'waiting', 'expected') || connector.heardAt < m.deadline);
    if (m.liveness !== 'lost' && !isOpen && now >= this.#patientUntil(m, connector)) this.#to(id, m, 'lost');
  }

  #patientUntil(m: Mutable, connector: Mutable | undefined): number {
    const returns = connector !== undefined && connector.cameAt > m.heardAt;
    return returns ? Math.max(m.deadline, connector.cameAt + this.patience * RETURN_GRACE) : m.deadline;
  }

  #to(id: string, m: Mutable, next: Liveness): void {
    const before = m.liveness;
    checkEdge('presence', LIVENESS_EDGES, before, next);
    m.liveness = next;
    if (before !== next) for (const listener of this.#listeners) listener(id, next, before);
  }

  #countBehind(connectorId: string, liveness: Liveness, counts = (_hubId: string) => true): number {
    let count = 0;
    for (const [id, m] of this.#machines) {
      const isBehind = m.connectorId === connectorId && m.path === Path.CONNECTOR;
      if (isBehind && m.liveness === liveness && counts(id)) count += 1;
    }
    return count;
  }

  #seen(m: Mutable, clockMs: number): void {
    m.heardAt = this.clock.monotonic();
    m.lastSeenMs = this.clock.now();
    m.clockOffsetMs = Math.max(-MOST_OFFSET_MS, Math.min(MOST_OFFSET_MS, clockMs - m.lastSeenMs));
  }

  #machine(id: string): Mutable {
    let m = this.#machines.get(id);
    if (!m) {
      m = {
        liveness: 'never-seen',
        deadline: 0,
        heardAt: 0,
        upAt: 0,
        cameAt: 0,
        formerConnectorId: '',
        path: Path.UNSPECIFIED,
        connectorId: '',
        lastSeenMs: 0,
        queuedReadings: 0,
        queuedAgeMs: 0,
        clockOffsetMs: 0,
        software: '',
      };
      this.#machines.set(id, m);
    }
    return m;
  }
}

const isIn = (m: Mutable, ...states: readonly Liveness[]): boolean => states.includes(m.liveness);
