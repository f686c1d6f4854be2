// Metrics of a role, if its operator wants them: collected for Prometheus, and served where --metrics-port says.
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Meters } from '../kernel/metrics.js';
import type { Scope } from '../kernel/scope.js';
import type { Listening } from './values.js';

/** What a role is handed; nothing when nobody looks. Before it starts: a port that is taken is known at once. Faults: metrics.* */
export async function openMeters(at: Listening | undefined, scope: Scope, log: Logger): Promise<{ meters?: Meters }> {
  if (!at) return {};
  const { PrometheusMeters } = await import('../metrics/prometheus.js');
  const { MetricsServer } = await import('../metrics/server.js');
  const meters = new PrometheusMeters((metric, thrown) =>
    log.warn({ metric, cause: describe(thrown) }, 'a metric cannot be told now'),
  );
  meters.collectProcess();
  const server = scope.own(await MetricsServer.start(at, meters));
  log.info(server.address, 'metrics are served');
  return { meters };
}
