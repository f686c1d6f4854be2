// How every sensor is, from the readings that are stored: only those that are new and in time count. What comes late, as a
// backlog does, fills the history and changes no state: the next reading in time is compared with how things were before.
import { SensorState as ProtoState } from '../../../gen/occmesh/inventory/v1/inventory.js';
import type { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { uuidText } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import { seconds } from '../../kernel/duration.js';
import type { OpenBatch } from '../../telemetry/batch.js';
import { DEFAULT_ATTEMPTS, type SensorRecord } from '../inventory/records.js';
import { sensorId } from '../inventory/tables.js';
import type { HubKey } from '../telemetry/ledger.js';
import { type SensorCondition, SensorState, type SensorVerdict } from './sensor-state.js';

const SHOWN: { readonly [C in SensorCondition]: ProtoState } = {
  initialising: ProtoState.INITIALISING,
  ok: ProtoState.OK,
  warning: ProtoState.WARNING,
  critical: ProtoState.CRITICAL,
  unknown: ProtoState.UNKNOWN,
  stale: ProtoState.STALE,
  paused: ProtoState.PAUSED,
};

/** For the way, for a busy cloud, and for clocks that are not quite right. */
const GRACE = seconds(60);

/** How old a reading may be to be in time, and how long there may be none: a run may be missed. */
export const patienceWith = ({ intervalMs, timeoutMs }: Pick<SensorRecord, 'intervalMs' | 'timeoutMs'>): number =>
  2 * intervalMs + timeoutMs + GRACE;

export interface SensorStatesModules {
  readonly clock: Clock;
  readonly sensors: {
    get(id: string): SensorRecord | undefined;
    of(machineId: string): Iterable<SensorRecord>;
  };
  /** Nothing is concluded from what a quarantined hub sends, or does not. */
  readonly isQuarantined: (machineId: string) => boolean;
  readonly presence: {
    clockOffset(machineId: string): number;
    /** Monotonic; undefined for a hub that is not there. */
    upSince(machineId: string): number | undefined;
  };
  /** How it was before the cloud started, if it was bad. */
  readonly knownBefore: (machineId: string, sensor: number) => SensorVerdict | undefined;
  /** Told when a verdict is another. */
  readonly onChange: (machineId: string, sensor: number) => void;
}

class Tracked extends SensorState {
  /** The flush up to which its readings have been looked at, and in which log. */
  log: Buffer = NO_LOG;
  flush = -1;
  /** Monotonic time at which a reading last came in time, or at which it began to be waited for. */
  freshAt = 0;
  message = '';
}

const NO_LOG = Buffer.alloc(0);

export class SensorStates {
  readonly #hubs = new Map<string, Map<number, Tracked>>();

  readonly #startedAt: number;

  constructor(private readonly modules: SensorStatesModules) {
    this.#startedAt = modules.clock.monotonic();
  }

  /** Takes in what was just stored. */
  stored(hub: HubKey, log: Buffer, batch: Pick<OpenBatch, 'table' | 'header'>): void {
    const machineId = uuidText(hub.machine);
    if (this.modules.isQuarantined(machineId)) return;
    const { firstFlush, flushCount } = batch.header;
    const now = this.modules.clock.now() + this.modules.presence.clockOffset(machineId);
    let last: Tracked | undefined;
    for (const { sensor, takenAt, state, message } of batch.table().states()) {
      const record = this.modules.sensors.get(sensorId(machineId, sensor));
      if (!record || record.paused) continue;
      const tracked = this.#tracked(machineId, sensor);
      // A sensor may have several series in one batch, one after the other.
      if (tracked !== last && !isNewer(tracked, log, firstFlush)) continue;
      last = tracked;
      tracked.log = log;
      tracked.flush = firstFlush + flushCount - 1;
      const oldest = now - patienceWith(record);
      let changed = false;
      let fresh = false;
      for (let i = 0; i < state.length; i++) {
        if ((takenAt[i] as number) < oldest) continue;
        fresh = true;
        if (tracked.measured(state[i] as State, record.attempts ?? DEFAULT_ATTEMPTS)) changed = true;
      }
      if (!fresh) continue;
      tracked.freshAt = this.modules.clock.monotonic();
      tracked.message = message;
      if (changed) this.modules.onChange(machineId, sensor);
    }
  }

  /** After a start: the last reading of a sensor, as far as it is known. */
  recall(machineId: string, { sensor, state, message }: { sensor: number; state: State; message: string }): void {
    const record = this.modules.sensors.get(sensorId(machineId, sensor));
    const tracked = record && this.#tracked(machineId, sensor);
    // What has come since counts.
    if (!tracked || record.paused || tracked.flush !== -1) return;
    if (tracked.condition === 'initialising') tracked.measured(state, record.attempts ?? DEFAULT_ATTEMPTS);
    tracked.message = message;
  }

  /** A sensor was added, changed or removed. */
  configured({ before, after }: { before: SensorRecord | undefined; after: SensorRecord | undefined }): void {
    const { machineId, number } = after ?? before ?? { machineId: '', number: 0 };
    const known = this.#hubs.get(machineId)?.get(number);
    const now = this.modules.clock.monotonic();
    if (!after) this.#hubs.get(machineId)?.delete(number);
    else if (after.paused) this.#tracked(machineId, number).becomes('paused');
    // From now on it is waited for.
    else if (!before) this.#tracked(machineId, number);
    else if (known?.condition === 'paused') {
      known.becomes('initialising');
      known.freshAt = now;
    } else if (known && before.intervalMs !== after.intervalMs) known.freshAt = now;
    this.modules.onChange(machineId, number);
  }

  verdict(machineId: string, sensor: number): SensorVerdict & { readonly message: string } {
    const tracked = this.#tracked(machineId, sensor);
    const message = tracked.condition === 'stale' ? 'no readings come although the hub is there' : tracked.message;
    return { condition: tracked.condition, flapping: tracked.flapping, message };
  }

  of(machineId: string, sensor: number): { state: ProtoState; attempt: number; flapping: boolean } {
    const { condition, attempt, flapping } = this.#hubs.get(machineId)?.get(sensor) ?? UNHEARD;
    return { state: SHOWN[condition], attempt, flapping };
  }

  /** Called every few seconds with a hub that is there: which of its sensors have fallen silent? */
  sweep(machineId: string): void {
    const { clock, sensors, presence, isQuarantined } = this.modules;
    const upSince = presence.upSince(machineId);
    if (upSince === undefined || isQuarantined(machineId)) return;
    const now = clock.monotonic();
    for (const record of sensors.of(machineId)) {
      const known = this.#hubs.get(machineId)?.get(record.number);
      if (record.paused || known?.condition === 'stale') continue;
      const silentSince = Math.max(known?.freshAt ?? this.#startedAt, upSince);
      if (now - silentSince <= patienceWith(record)) continue;
      if (this.#tracked(machineId, record.number).becomes('stale')) this.modules.onChange(machineId, record.number);
    }
  }

  #tracked(machineId: string, sensor: number): Tracked {
    let sensors = this.#hubs.get(machineId);
    if (!sensors) {
      sensors = new Map();
      this.#hubs.set(machineId, sensors);
    }
    let tracked = sensors.get(sensor);
    if (!tracked) {
      tracked = new Tracked(this.modules.knownBefore(machineId, sensor));
      tracked.freshAt = this.modules.clock.monotonic();
      sensors.set(sensor, tracked);
    }
    return tracked;
  }
}

const UNHEARD = new SensorState();

/** Batches of one log never overlap: the place of a whole batch says it all. */
function isNewer(tracked: Tracked, log: Buffer, firstFlush: number): boolean {
  const order = Buffer.compare(log, tracked.log);
  return order > 0 || (order === 0 && firstFlush > tracked.flush);
}
