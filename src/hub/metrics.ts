// What a hub measures of itself.
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import { counter, gauge, histogram, QUICK, SLOW } from '../kernel/metrics.js';
import type { Ending } from '../link/pipe.js';
import { KINDS } from '../sensors/registry.js';

const PATHS = ['searching', 'connector', 'direct', 'redialing', 'stopped'] as const;
const CODES = Object.keys(CloseCode)
  .filter((name) => Number.isNaN(Number(name)))
  .map((name) => name.toLowerCase());
const OUTCOMES = ['ok', 'warning', 'critical', 'unknown'] as const;

export const HUB_METRICS = {
  path: gauge('occ_hub_path', 'How it is connected: 1 for the state it is in', { path: PATHS }),
  sessions: counter('occ_hub_sessions_opened_total', 'Sessions that came up: each reconnect is one', {
    path: ['connector', 'direct'],
  }),
  ended: counter(
    'occ_hub_sessions_ended_total',
    'Sessions that ended or did not come up, by close code; unauthentic: a signature or certificate was wrong',
    { code: CODES },
  ),
  stalls: counter('occ_hub_window_stalls_total', 'How often live readings had to wait for acknowledgements'),
  waiting: gauge('occ_hub_wal_readings', 'Readings in the log that the cloud has not acknowledged'),
  waitingBytes: gauge('occ_hub_wal_bytes', 'Bytes that they take'),
  oldest: gauge('occ_hub_wal_oldest_seconds', 'How long the oldest of them has waited; 0 when none waits'),
  dropped: counter(
    'occ_hub_readings_dropped_total',
    'Readings lost: because the log was full, or before it was written',
    {
      reason: ['log-full', 'not-written'],
    },
  ),
  written: counter('occ_hub_readings_written_total', 'Readings that are in the log'),
  flush: histogram('occ_hub_flush_duration_seconds', 'Synced writes of the log', QUICK),
  runs: histogram('occ_hub_sensor_run_duration_seconds', 'Runs of sensors, by what their reading says', SLOW, {
    kind: [...KINDS.keys()],
    outcome: OUTCOMES,
  }),
} as const;

/** The close code of an ending, as a label. Codes of a later version are "other". */
export const codeOf = ({ code }: Ending): string => (CloseCode[code] ?? '').toLowerCase();

export function outcomeOf(state: State): (typeof OUTCOMES)[number] {
  switch (state) {
    case State.OK:
      return 'ok';
    case State.WARNING:
      return 'warning';
    case State.CRITICAL:
      return 'critical';
    default:
      return 'unknown';
  }
}
