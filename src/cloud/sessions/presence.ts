// Which machine is how, as far as sessions tell: live facts in memory, for people and for what must be decided.
import { MachineState } from '../../../gen/occmesh/inventory/v1/inventory.js';
import { Path } from '../../../gen/occmesh/link/v1/link.js';
import type { Clock } from '../../kernel/clock.js';
import type { Duration, EpochMs } from '../../kernel/duration.js';
import { type Edges, StateMachine } from '../../kernel/machine.js';

export type Liveness = 'never-seen' | 'expected' | 'online' | 'waiting' | 'shut-down' | 'lost' | 'unreachable';

/**
 * `waiting`: its session is gone without a goodbye, and it still has time to come back. `expected`: likewise, after a start
 * of the cloud, which does not know how it was.
 */
export const LIVENESS_EDGES: Edges<Liveness> = {
  'never-seen': ['online', 'expected', 'shut-down'],
  expected: ['online', 'lost', 'unreachable'],
  online: ['online', 'waiting', 'shut-down'],
  waiting: ['online', 'lost', 'unreachable'],
  'shut-down': ['online'],
  lost: ['online', 'unreachable'],
  unreachable: ['online', 'lost'],
};

const STATES: { readonly [L in Liveness]: MachineState } = {
  'never-seen': MachineState.NEVER_SEEN,
  expected: MachineState.UNKNOWN,
  online: MachineState.ONLINE,
  // Shown as it was last: a hub that changes its path is not lost.
  waiting: MachineState.ONLINE,
  'shut-down': MachineState.SHUT_DOWN,
  lost: MachineState.LOST,
  unreachable: MachineState.UNREACHABLE,
};

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
}

interface Mutable extends Omit<PresenceFacts, 'state' | 'hubCount'> {
  readonly liveness: StateMachine<Liveness>;
  /** Monotonic time at which waiting ends. */
  deadline: number;
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

export class Presence {
  readonly #machines = new Map<string, Mutable>();

  /** A machine that falls silent is given `patience`: three heartbeats and a grace. */
  constructor(
    private readonly clock: Clock,
    private readonly patience: Duration,
  ) {}

  of(machineId: string): PresenceFacts {
    const m = this.#machine(machineId);
    return {
      state: STATES[m.liveness.state],
      path: m.path,
      connectorId: m.connectorId,
      lastSeenMs: m.lastSeenMs,
      queuedReadings: m.queuedReadings,
      queuedAgeMs: m.queuedAgeMs,
      clockOffsetMs: m.clockOffsetMs,
      software: m.software,
      hubCount: this.#hubsBehind(machineId).length,
    };
  }

  /** After a start: a machine that has been seen before is given time to come back. */
  expect(machineId: string, lastSeen: EpochMs, shutDown: boolean): void {
    const m = this.#machine(machineId);
    m.lastSeenMs = lastSeen;
    m.liveness.to(shutDown ? 'shut-down' : 'expected');
    m.deadline = this.clock.monotonic() + this.patience;
  }

  up(machineId: string, facts: { path: Path; connectorId: string; software: string; clockMs: number }): void {
    const m = this.#machine(machineId);
    m.liveness.to('online');
    m.path = facts.path;
    m.connectorId = facts.connectorId;
    m.software = facts.software;
    this.#seen(m, facts.clockMs);
  }

  heartbeat(machineId: string, facts: { queuedReadings: number; queuedAgeMs: number; clockMs: number }): void {
    const m = this.#machine(machineId);
    m.queuedReadings = facts.queuedReadings;
    m.queuedAgeMs = facts.queuedAgeMs;
    this.#seen(m, facts.clockMs);
  }

  down(machineId: string, why: 'shut-down' | 'gone'): void {
    const m = this.#machine(machineId);
    if (!m.liveness.is('online')) return;
    m.liveness.to(why === 'shut-down' ? 'shut-down' : 'waiting');
    m.deadline = this.clock.monotonic() + this.patience;
  }

  /**
   * Called every few seconds: whoever has waited long enough is lost, or unreachable when the way to it is gone. A hub is
   * judged after its connector, never before: a connector that is just being given time must not make its hubs alarms.
   */
  sweep(): void {
    const now = this.clock.monotonic();
    const machines = [...this.#machines.values()];
    for (const m of machines) if (m.path !== Path.CONNECTOR) this.#judge(m, now);
    for (const m of machines) if (m.path === Path.CONNECTOR) this.#judge(m, now);
  }

  #judge(m: Mutable, now: Duration): void {
    const connector = m.path === Path.CONNECTOR ? this.#machines.get(m.connectorId)?.liveness : undefined;
    const wayIsGone = connector?.is('lost', 'shut-down') ?? false;
    const verdict = wayIsGone ? 'unreachable' : 'lost';
    if (m.liveness.is('waiting', 'expected')) {
      if (now >= m.deadline && !connector?.is('waiting', 'expected')) m.liveness.to(verdict);
    } else if (m.liveness.is('lost', 'unreachable') && m.liveness.state !== verdict) {
      m.liveness.to(verdict);
    }
  }

  #hubsBehind(connectorId: string): string[] {
    const behind: string[] = [];
    for (const [id, m] of this.#machines) {
      if (m.connectorId === connectorId && m.path === Path.CONNECTOR && m.liveness.is('online')) behind.push(id);
    }
    return behind;
  }

  #seen(m: Mutable, clockMs: number): void {
    m.lastSeenMs = this.clock.now();
    m.clockOffsetMs = Math.max(-MOST_OFFSET_MS, Math.min(MOST_OFFSET_MS, clockMs - m.lastSeenMs));
  }

  #machine(id: string): Mutable {
    let m = this.#machines.get(id);
    if (!m) {
      m = {
        liveness: new StateMachine<Liveness>('presence', LIVENESS_EDGES, 'never-seen'),
        deadline: 0,
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
