// What a connector measures. Its own hub has its own metrics.
import { counter, gauge } from '../kernel/metrics.js';

export const CONNECTOR_METRICS = {
  up: gauge('occ_connector_up', 'Whether there is a trunk to the cloud: 1 or 0'),
  hubs: gauge('occ_connector_hubs', 'Hubs whose session it carries'),
  queuedBytes: gauge('occ_connector_queued_bytes', 'Bytes that wait for the cloud'),
  trunks: counter('occ_connector_trunks_opened_total', 'Trunks to the cloud that came up: each reconnect is one'),
  stalls: counter('occ_connector_trunk_stalls_total', 'How often the trunk had to wait until the cloud read on'),
  bytes: counter('occ_connector_trunk_bytes_total', 'Bytes of trunk messages, before TLS', {
    direction: ['up', 'down'],
  }),
  connections: gauge('occ_connector_connections', 'Connections of the network that are open'),
} as const;
