// The connector: a listener in the LAN, an announcement of where it is, and one connection to the cloud. It keeps no
// readings and no state but its membership: it may be killed at any moment.
import { EnrollmentServiceService } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { TrunkServiceService } from '../../gen/occmesh/trunk/v1/trunk.js';
import { GrpcChannel } from '../contract/channel.js';
import { loadDescriptors } from '../contract/descriptors.js';
import { ContractFault } from '../contract/fault.js';
import { HealthService } from '../contract/health.js';
import { LAN_LIMITS } from '../contract/limits.js';
import { GrpcListener } from '../contract/listener.js';
import { type AnnouncerOptions, SsdpAnnouncer } from '../discovery/announcer.js';
import { lanAddresses } from '../discovery/interfaces.js';
import { clientIdentity, judgeServer } from '../identity/tls.js';
import type { Clock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { minutes, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { type Meters, noMeters } from '../kernel/metrics.js';
import type { Random } from '../kernel/random.js';
import { uuid7 } from '../kernel/random.js';
import { Scope, type Stoppable } from '../kernel/scope.js';
import { Serial } from '../kernel/serial.js';
import { SOFTWARE } from '../kernel/software.js';
import { endingOfFault } from '../link/stream-pipe.js';
import { carrierCall } from '../membership/carrier.js';
import { requireMembership } from '../membership/machine-files.js';
import { keepRenewed } from '../membership/renewal.js';
import { RevokedKeys } from '../membership/revoked-keys.js';
import { carriedLinks, lanAuthenticator, type Relay, relayedEnrollment } from './lan-service.js';
import { CONNECTOR_METRICS } from './metrics.js';
import { TrunkLink, type TrunkStream } from './trunk-link.js';

export interface ConnectorOptions {
  /** Its membership; see membership/machine-files.ts. */
  readonly directory: string;
  /** Where it listens in the LAN. */
  readonly host: string;
  readonly port: number;
  /** Where it announces itself: names or addresses; default: all but loopback. */
  readonly interfaces?: readonly string[];
  readonly ssdpPort?: number;
  /** `http://[user:password@]host:port` for the connection to the cloud. */
  readonly proxy?: string;
}

export interface ConnectorModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly meters?: Meters;
}

const NOTIFY_EVERY = minutes(5);
const RELAY_WITHIN = seconds(20);
/** What belongs to the trunk's own connection: everything it carries is bounded by the cloud's grants. */
const CLOUD_WINDOW_BYTES = 8 * 1024 * 1024;

export class Connector implements Stoppable {
  private constructor(
    private readonly scope: Scope,
    readonly machineId: string,
    private readonly listener: GrpcListener,
  ) {}

  /** Where hubs reach it. */
  get address(): { readonly address: string; readonly port: number } {
    return this.listener.address;
  }

  /** Faults: membership.missing, membership.damaged, membership.other-machine, contract.port-*. */
  static async start(options: ConnectorOptions, modules: ConnectorModules): Promise<Connector> {
    const scope = new Scope();
    try {
      return await Connector.#assemble(options, modules, scope);
    } catch (thrown) {
      await scope.stop();
      throw thrown;
    }
  }

  stop(): Promise<void> {
    return this.scope.stop();
  }

  static async #assemble(options: ConnectorOptions, modules: ConnectorModules, scope: Scope): Promise<Connector> {
    const { clock, random, log } = modules;
    const membership = await requireMembership(options.directory);
    const { trust, identity: key } = membership;
    const { mesh, customerId, machineId } = membership.certificate.identity;
    let { certificate } = membership;
    const revoked = new RevokedKeys();
    const tls = () => ({
      ...clientIdentity(certificate, key, trust),
      judgeServer: judgeServer(trust, { mesh, role: 'cloud' }, () => clock.now()),
    });

    // One connection for everything: the trunk, and the enrolment requests of hubs that have no internet.
    let channel: GrpcChannel | undefined;
    scope.defer(async () => channel?.stop());
    const dial = async (): Promise<TrunkStream> => {
      await channel?.stop();
      channel = new GrpcChannel(
        {
          address: membership.record.cloud,
          tls: tls(),
          windowBytes: CLOUD_WINDOW_BYTES,
          ...defined({ proxy: options.proxy }),
        },
        modules,
      );
      const stream = channel.byteStream(TrunkServiceService.trunk);
      return {
        write: (message) => void stream.write(message),
        get bufferedBytes() {
          return stream.bufferedBytes;
        },
        drained: () => stream.drained(),
        end: () => stream.end(),
        listen: (handlers) => {
          stream
            .forEach((bytes) => {
              handlers.message(bytes);
            })
            .catch(() => undefined);
          void stream.closed.then((fault) => handlers.closed(endingOfFault(fault)));
        },
      };
    };
    const bootId = uuid7(random, clock.now());
    const trunk: TrunkLink = new TrunkLink({
      dial,
      hello: () => ({
        bootId,
        lanAddresses: lanAddresses(options.interfaces, listener.address),
        software: SOFTWARE,
        clockMs: clock.now(),
      }),
      onWelcome: ({ revokedKeys }) => revoked.replace(revokedKeys),
      clock,
      random,
      log,
    });
    const relay: Relay = async (method, sealed, signal) => {
      if (!channel || trunk.state !== 'up')
        throw new ContractFault('contract.unavailable', 'this connector has no way to the cloud now');
      return channel.unary(EnrollmentServiceService[method], sealed, { signal, within: RELAY_WITHIN });
    };

    const descriptors = loadDescriptors();
    const listener: GrpcListener = new GrpcListener(
      {
        host: options.host,
        port: options.port,
        key: key.toPem(),
        cert: certificate.pem,
        ca: trust.pems.join(''),
        limits: LAN_LIMITS,
        access: {
          rules: descriptors.accessRules(),
          authenticate: lanAuthenticator({
            trust,
            customerId,
            isRevoked: revoked.has,
            clock,
          }),
        },
      },
      { clock, log, random },
    );
    listener.add(LinkServiceService, carriedLinks(trunk, modules));
    listener.add(EnrollmentServiceService, relayedEnrollment(relay, modules));
    const health = new HealthService(['occmesh.link.v1.LinkService', 'occmesh.enrollment.v1.EnrollmentService']);
    health.addTo(listener);
    scope.own(listener);
    await listener.start();
    scope.defer(() => health.shutDown());
    measure(modules.meters ?? noMeters, trunk, listener);

    announceWhileUp(trunk, scope, modules, () => ({
      machineId,
      port: listener.address.port,
      notifyEvery: NOTIFY_EVERY,
      ...defined({ interfaces: options.interfaces, ssdpPort: options.ssdpPort }),
    }));
    scope.run((signal) => trunk.run(signal));

    async function* cloudOnly() {
      yield { address: membership.record.cloud, role: 'cloud' } as const;
    }
    const call = carrierCall(
      { trust, customerId, addresses: cloudOnly, ...defined({ proxy: options.proxy }) },
      modules,
    );
    scope.run(
      (signal) =>
        keepRenewed(
          membership,
          {
            call,
            clock,
            random,
            log,
            onRenewed: (renewed) => {
              certificate = renewed;
              listener.setCertificate({ key: key.toPem(), cert: renewed.pem, ca: trust.pems.join('') });
            },
          },
          signal,
        ),
      (error) => log.error({ cause: describe(error) }, 'certificate is not renewed any more'),
    );
    log.info(
      { address: listener.address, machine: machineId, cloud: membership.record.cloud },
      'connector is listening',
    );
    return new Connector(scope, machineId, listener);
  }
}

/** All of it is counted anyway. */
function measure(meters: Meters, trunk: TrunkLink, listener: GrpcListener): void {
  const metrics = meters.instruments(CONNECTOR_METRICS);
  metrics.up.read(() => (trunk.state === 'up' ? 1 : 0));
  metrics.hubs.read(() => trunk.hubCount);
  metrics.queuedBytes.read(() => trunk.queuedBytes);
  metrics.trunks.read(() => trunk.counts.opened);
  metrics.stalls.read(() => trunk.counts.stalls);
  metrics.bytes.read(() => [
    [{ direction: 'up' }, trunk.counts.bytesUp],
    [{ direction: 'down' }, trunk.counts.bytesDown],
  ]);
  metrics.connections.read(() => listener.counters.open);
}

/** Announced only while there is a way to the cloud: without one it is no path. */
function announceWhileUp(
  trunk: TrunkLink,
  scope: Scope,
  modules: ConnectorModules,
  options: () => AnnouncerOptions,
): void {
  const steps = new Serial();
  let announcer: SsdpAnnouncer | undefined;
  const silence = async () => {
    await announcer?.stop();
    announcer = undefined;
  };
  trunk.onChange((to) => {
    void steps.run(async () => {
      await silence();
      if (to !== 'up') return;
      announcer = new SsdpAnnouncer(options(), modules);
      await announcer.start();
    });
  });
  scope.defer(() => steps.run(silence));
}
