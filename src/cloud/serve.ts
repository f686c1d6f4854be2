// The cloud's one listener with every service on it.
import { EnrollmentServiceService } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { LinkServiceService, type Result } from '../../gen/occmesh/link/v1/link.js';
import { CloseCode, TrunkServiceService } from '../../gen/occmesh/trunk/v1/trunk.js';
import { loadDescriptors } from '../contract/descriptors.js';
import { ApiFault } from '../contract/fault.js';
import { aborted } from '../contract/handlers.js';
import { HealthService } from '../contract/health.js';
import { GrpcListener } from '../contract/listener.js';
import { reflectionImplementation } from '../contract/reflection.js';
import type { FinishedCall } from '../contract/timing.js';
import type { MeshAuthority } from '../identity/authority.js';
import { defined } from '../kernel/defined.js';
import type { Duration } from '../kernel/duration.js';
import type { Scope } from '../kernel/scope.js';
import { ending } from '../link/pipe.js';
import { addServices } from './api/add-services.js';
import { Requests } from './api/requests.js';
import { authenticator } from './authenticate.js';
import { CallBudgets } from './call-budgets.js';
import { CallTurns, entrance } from './call-turns.js';
import type { NodeKeys } from './cloud-files.js';
import { EnrollmentService } from './enrollment/enrollment-service.js';
import type { Inventory } from './inventory/inventory.js';
import type { Monitoring } from './monitoring.js';
import type { NodeCertificate } from './node-certificate.js';
import type { Notifications } from './notify/notifications.js';
import { OpenMetricsPort } from './openmetrics/port.js';
import { serveLink, serveTrunk } from './sessions/link-service.js';
import type { SessionRegistry } from './sessions/registry.js';
import type { SessionServices } from './sessions/services.js';
import type { LatestReadings } from './telemetry/latest.js';
import type { Watchers } from './telemetry/watch.js';

export interface ServeOptions {
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  readonly names: readonly string[];
  readonly publicAddress?: string;
  /** Of machines; default 90 days. */
  readonly certificateLifetime?: Duration;
  /** Where Prometheus finds latest readings; by default nowhere. */
  readonly openMetrics?: { readonly host: string; readonly port: number };
}

export interface ServeModules {
  readonly services: SessionServices;
  readonly inventory: Inventory;
  readonly authority: MeshAuthority;
  readonly keys: NodeKeys;
  readonly certificate: NodeCertificate;
  readonly latest: LatestReadings;
  readonly watchers: Watchers;
  readonly monitoring: Monitoring;
  readonly notifications: Notifications;
  /** See the listener: it costs something for each message, and is left out where nobody looks. */
  readonly onCall?: (call: FinishedCall) => void;
}

/** Resolves when it listens, with where machines and people reach it. Faults: contract.port-*. */
export async function serve(
  options: ServeOptions,
  modules: ServeModules,
  scope: Scope,
): Promise<{ readonly listener: GrpcListener; readonly publicAddress: string }> {
  const { services, inventory, authority, keys, certificate, latest, watchers, monitoring, notifications } = modules;
  const { clock, random, log, sessions } = services;
  const { directory } = options;
  const trust = authority.bundle;
  const descriptors = loadDescriptors();
  const tls = () => ({ key: keys.key.toPem(), cert: certificate.current.pem, ca: trust.pems.join('') });
  const access = {
    rules: descriptors.accessRules(),
    scopes: descriptors.scopes(),
    authenticate: authenticator({ trust, inventory, clock }),
    secrets: descriptors.secrets(),
    enter: entrance(new CallBudgets(clock), new CallTurns()),
  };
  const listener = new GrpcListener(
    { ...tls(), host: options.host, port: options.port, access },
    { clock, log, random, ...defined({ onCall: modules.onCall }) },
  );
  const mesh = {
    /** Known only once it listens, where any free port was asked for. */
    get cloud() {
      return options.publicAddress ?? `${options.names[0] ?? 'localhost'}:${listener.address.port}`;
    },
    caCertificates: trust.ders,
    enrollmentKey: keys.enrollment.publicKey,
  };
  const enrollment = { inventory, authority, sealingKey: keys.enrollment, clock, random, log };

  const customers = () => inventory.customers.ids();
  const requests = await Requests.open({ store: services.store, clock, customers }, scope);

  listener.add(LinkServiceService, { link: (stream, context) => serveLink(services, stream, context) });
  listener.add(TrunkServiceService, { trunk: (stream, context) => serveTrunk(services, stream, context) });
  listener.add(EnrollmentServiceService, new EnrollmentService(options, enrollment));
  addServices(listener, {
    ...{ services, inventory, monitoring, notifications, latest, watchers, mesh, directory },
    commands: commandsOver(sessions),
    changes: descriptors.changes(),
    requests,
  });
  const health = new HealthService(descriptors.services().map(({ typeName }) => typeName));
  health.addTo(listener);
  reflectionImplementation(descriptors).addTo(listener);

  await listener.start();
  scope.own(listener);
  const { states } = monitoring;
  const { presence } = services;
  const openMetrics =
    options.openMetrics &&
    scope.own(
      await OpenMetricsPort.start(
        { ...options.openMetrics, ...tls(), access },
        { inventory, presence, states, latest, clock, log, random },
      ),
    );
  certificate.keepFresh(scope, () => {
    listener.setCertificate(tls());
    openMetrics?.setCertificate(tls());
  });
  // Sessions are told before the listener closes, so that hubs come back at once and do not take it for silence.
  scope.defer(() => {
    health.shutDown();
    const why = ending(CloseCode.GOING_AWAY, 'the cloud is being shut down');
    for (const session of sessions.all()) session.close(why);
    for (const trunk of services.trunks.all()) trunk.end(why);
  });
  return { listener, publicAddress: mesh.cloud };
}

const commandsOver = (sessions: SessionRegistry) => ({
  runSensor: async (machineId: string, sensor: number, signal: AbortSignal): Promise<Result> => {
    const session = sessions.of(machineId);
    if (!session) {
      const advice = 'Try again when it is online.';
      throw new ApiFault('api.unavailable', 'the hub has no session now', { advice });
    }
    return Promise.race([session.runSensor(sensor), aborted(signal)]);
  },
});
