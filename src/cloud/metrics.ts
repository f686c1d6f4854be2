// What a cloud measures. No label names a machine or a customer: those are asked for by the API.
import { counter, gauge, histogram, type Instruments, QUICK } from '../kernel/metrics.js';
import { type LinkCode, LinkFault } from '../link/fault.js';
import { SEVERITIES } from './alarms/records.js';
import { LIVENESS_EDGES, type Liveness } from './states/liveness.js';

const PATHS = ['connector', 'direct'] as const;
const ROLES = ['hub', 'connector'] as const;
const LIVENESS = Object.keys(LIVENESS_EDGES) as readonly Liveness[];
/** Link codes without their area, and whatever is the cloud's own fault. */
const REASONS = [
  'protocol',
  'unauthentic',
  'refused',
  'exhausted',
  'busy',
  'silent',
  'superseded',
  'version',
  'going-away',
  'internal',
] as const;
const WATCHED = ['readings', 'events'] as const;
const OUTCOMES = ['accepted', 'failed'] as const;

export const CLOUD_METRICS = {
  sessions: gauge('occ_cloud_sessions', 'Hubs that have a session now, by how they come', { path: PATHS }),
  connectors: gauge('occ_cloud_connectors', 'Connectors that have a trunk now'),
  machines: gauge('occ_cloud_machines', 'Machines that are not retired, by whether they are there', {
    role: ROLES,
    state: LIVENESS,
  }),
  sessionsOpened: counter('occ_cloud_sessions_opened_total', 'Sessions of hubs that came up: each reconnect is one', {
    path: PATHS,
  }),
  trunksOpened: counter('occ_cloud_trunks_opened_total', 'Trunks of connectors that came up: each reconnect is one'),
  refused: counter(
    'occ_cloud_refused_total',
    'Sessions and trunks that the cloud refused or ended; unauthentic: a signature, certificate or counter was wrong; ' +
      'busy: told to come back later, as too many come at once',
    { reason: REASONS },
  ),
  stalls: counter('occ_cloud_trunk_stalls_total', 'How often a trunk had to wait until its connector read on'),
  batches: counter('occ_cloud_batches_stored_total', 'Batches stored'),
  readings: counter('occ_cloud_readings_stored_total', 'Readings stored'),
  bytes: counter('occ_cloud_stored_bytes_total', 'Bytes of stored readings, as their hubs packed them'),
  commit: histogram('occ_cloud_commit_duration_seconds', 'Synced writes of the store; many commits share one', QUICK),
  storeBytes: gauge('occ_cloud_store_bytes', 'Size of the store on disk'),
  alarms: gauge('occ_cloud_alarms_open', 'Open alarms', { severity: SEVERITIES }),
  notices: gauge('occ_cloud_notices_waiting', 'What waits to be told to channels'),
  channelsFailing: gauge('occ_cloud_channels_failing', 'Channels whose last message was not accepted'),
  deliveries: counter('occ_cloud_deliveries_total', 'Tries to bring a message to its channel', { outcome: OUTCOMES }),
  watchers: gauge('occ_cloud_watchers', 'Callers that watch, by what', { kind: WATCHED }),
  calls: histogram('occ_cloud_rpc_duration_seconds', 'Calls of the API; streams when they end', QUICK, {
    method: undefined,
    code: undefined,
  }),
  connections: gauge('occ_cloud_connections', 'Connections that are open'),
} as const;

export type CloudMetrics = Instruments<typeof CLOUD_METRICS>;

type Reason = (typeof REASONS)[number];
type Stripped<C extends string> = C extends `link.${infer R}` ? R : never;

/** The types say when a code of LinkFault is missing above. */
export function reasonOf(thrown: unknown): Reason {
  if (!(thrown instanceof LinkFault)) return 'internal';
  return thrown.code.slice('link.'.length) as Stripped<LinkCode> satisfies Reason;
}
