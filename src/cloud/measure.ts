// What of a running cloud is counted or known anyway, put where it is measured. What only those know who do it (how long
// a call took, why a session was refused), they say themselves.
import type { GrpcListener } from '../contract/listener.js';
import { minutes } from '../kernel/duration.js';
import type { Inventory } from './inventory/inventory.js';
import type { Monitoring } from './monitoring.js';
import type { SessionServices } from './sessions/services.js';
import type { Watchers } from './telemetry/watch.js';

/** A large store has many files, and each of them is asked for its size. */
const SIZE_KEPT = minutes(1);

export interface MeasuredParts {
  readonly services: SessionServices;
  readonly inventory: Pick<Inventory, 'machines'>;
  readonly monitoring: Monitoring;
  readonly watchers: Watchers;
  readonly listener: GrpcListener;
}

export function measure({ services, inventory, monitoring, watchers, listener }: MeasuredParts): void {
  const { metrics, sessions, trunks, presence, ingest } = services;
  const { alarms, events, journal } = monitoring;
  ingest.onStored((_hub, _log, { header }) => {
    metrics.batches.add(1);
    metrics.readings.add(header.readingCount);
    metrics.bytes.add(header.columns.length);
  });
  metrics.sessions.read(() =>
    sessions.all().map(({ connectorId }) => [{ path: connectorId === undefined ? 'direct' : 'connector' }, 1]),
  );
  metrics.connectors.read(() => trunks.all().length);
  metrics.machines.read(() =>
    [...inventory.machines.all()]
      .filter(({ retiredAtMs }) => retiredAtMs === undefined)
      .map(({ id, role }) => [{ role, state: presence.liveness(id) }, 1]),
  );
  metrics.storeBytes.read(seldom(services));
  metrics.alarms.read(() => [...alarms.open()].map(({ severity }) => [{ severity }, 1]));
  metrics.notices.read(() => journal.tables.notices.size);
  metrics.channelsFailing.read(
    () => [...journal.tables.channels.all()].filter(({ lastError }) => lastError !== undefined).length,
  );
  metrics.watchers.read(() => [
    [{ kind: 'readings' }, watchers.size],
    [{ kind: 'events' }, events.followers],
  ]);
  metrics.connections.read(() => listener.counters.open);
}

function seldom({ store, clock }: Pick<SessionServices, 'store' | 'clock'>): () => Promise<number> {
  let known: { readonly at: number; readonly bytes: Promise<number> } | undefined;
  return () => {
    const now = clock.monotonic();
    if (!known || now - known.at >= SIZE_KEPT) known = { at: now, bytes: store.size() };
    return known.bytes;
  };
}
