// The cloud: one store, one listener, and the services on it. This file puts the parts together and ends them in
// reverse order; what they do stands in their folders.
import { DesiredState } from '../../gen/occmesh/link/v1/link.js';
import type { GrpcListener } from '../contract/listener.js';
import type { FinishedCall } from '../contract/timing.js';
import { openAuthority } from '../identity/authority-folder.js';
import { signContent } from '../identity/signed.js';
import { TAGS } from '../identity/tags.js';
import type { Clock } from '../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { type Meters, noMeters, timed } from '../kernel/metrics.js';
import type { Random } from '../kernel/random.js';
import { Scope, type Stoppable } from '../kernel/scope.js';
import { SerialByKey } from '../kernel/serial.js';
import { SOFTWARE } from '../kernel/software.js';
import { LevelStore } from '../storage/level.js';
import { StorageFault, type Store } from '../storage/store.js';
import { defaultSensors, secretsOf } from './api/sensor-settings.js';
import { finishRestore } from './backup/restore.js';
import { cloudPaths, openNodeKeys } from './cloud-files.js';
import { HubTrust } from './hub-trust.js';
import { Inventory } from './inventory/inventory.js';
import { SessionPort } from './inventory/session-port.js';
import { keepings } from './keepings.js';
import { measure } from './measure.js';
import { CLOUD_METRICS } from './metrics.js';
import { Monitoring } from './monitoring.js';
import { NodeCertificate } from './node-certificate.js';
import { Notifications, type NotifyOptions } from './notify/notifications.js';
import { react } from './reactions.js';
import { type ServeOptions, serve } from './serve.js';
import { MachineBudgets } from './sessions/budget.js';
import { CreditBank } from './sessions/credit.js';
import { Presence } from './sessions/presence.js';
import { Reception } from './sessions/reception.js';
import { SessionRegistry } from './sessions/registry.js';
import type { SessionServices } from './sessions/services.js';
import { TrunkRegistry } from './sessions/trunk-registry.js';
import { afterRestore, recall, writeOperatorFiles } from './startup.js';
import { Ingest } from './telemetry/ingest.js';
import { LatestReadings } from './telemetry/latest.js';
import { Ledger } from './telemetry/ledger.js';
import { BackgroundMerging } from './telemetry/merging/background.js';
import { BackgroundRetention } from './telemetry/retention/background.js';
import { Watchers } from './telemetry/watch.js';

/**
 * `directory`: see cloud-files.ts. `publicAddress`: where machines and people reach it, host:port, as it stands in
 * tokens; default: the first name and the port. `names`: DNS names and addresses for its TLS certificate.
 */
export interface CloudOptions extends ServeOptions {
  /** The mesh's name, the trust domain of its identities. */
  readonly mesh: string;
  /** How often hubs give a sign of life; default 10 s. */
  readonly heartbeat?: Duration;
  readonly notify?: NotifyOptions;
  /** How often what is old is looked for; default: every six hours. */
  readonly retentionEvery?: Duration;
}

export interface CloudModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly meters?: Meters;
  /** Instead of the embedded store. */
  readonly openStore?: (directory: string) => Promise<Store>;
}

const HEARTBEAT = seconds(10);
/** Three may be missed; the rest is grace. */
const LOST_AFTER_HEARTBEATS = 4.5;

export class Cloud implements Stoppable {
  private constructor(
    private readonly scope: Scope,
    private readonly listener: GrpcListener,
    readonly publicAddress: string,
  ) {}

  get address(): { readonly address: string; readonly port: number } {
    return this.listener.address;
  }

  /** Faults: contract.port-*, storage.*, identity.*, inventory.*. A damaged store is never repaired unasked. */
  static async start(options: CloudOptions, modules: CloudModules): Promise<Cloud> {
    const scope = new Scope();
    try {
      return await Cloud.#assemble(options, modules, scope);
    } catch (thrown) {
      await scope.stop();
      throw thrown instanceof StorageFault && thrown.code === 'storage.damaged'
        ? damaged(options.directory, thrown)
        : thrown;
    }
  }

  stop(): Promise<void> {
    return this.scope.stop();
  }

  static async #assemble(options: CloudOptions, modules: CloudModules, scope: Scope): Promise<Cloud> {
    const { clock, random, log, meters = noMeters } = modules;
    const metrics = meters.instruments(CLOUD_METRICS);
    const { directory, mesh, names } = options;
    const paths = cloudPaths(directory);
    const keys = await openNodeKeys(directory, modules);
    const authority = await openAuthority(paths.authority, mesh, modules);
    await finishRestore(directory, modules);
    const timeWrite = (write: () => Promise<void>) => timed(clock, metrics.commit, write);
    const openStore = modules.openStore ?? ((folder) => LevelStore.open({ directory: folder }, { log, timeWrite }));
    const store = scope.own(await openStore(paths.store));
    const inventory = scope.own(
      await Inventory.open({ directory, defaultSensors: defaultSensors(), secretsOf }, { store, clock, random, log }),
    );
    inventory.tokens.uses.keep(scope);
    await afterRestore(directory, inventory, log);

    const certificate = await NodeCertificate.issued(authority, keys, names, modules);
    const heartbeat = options.heartbeat ?? HEARTBEAT;
    const silentAfter = milliseconds(heartbeat * LOST_AFTER_HEARTBEATS);
    const presence = new Presence(clock, silentAfter);
    const monitoring = await Monitoring.open({ store, inventory, presence, clock, random, log }, scope);
    const latest = new LatestReadings();
    const watchers = new Watchers(store);
    const ingest = new Ingest(store);
    const upkeep = { store, clock, log, turns: new SerialByKey(), isBusy: () => ingest.isBusy };
    const merging = new BackgroundMerging(upkeep);
    ingest.onStored((hub, log, batch) => {
      latest.stored(hub, log, batch);
      monitoring.states.stored(hub, log, batch);
      watchers.stored(hub, log, batch);
      merging.stored(hub, log, batch);
    });
    const port = new SessionPort(inventory);
    const services: SessionServices = {
      node: {
        key: keys.key,
        get certificate() {
          return certificate.current.der;
        },
      },
      trust: new HubTrust({ bundle: authority.bundle, machines: inventory.machines, clock }),
      inventory: port,
      store,
      ledger: new Ledger(store),
      ingest,
      sessions: new SessionRegistry(),
      trunks: new TrunkRegistry({ presence, inventory: port, store, clock, log }),
      presence,
      reception: new Reception({ clock, random }),
      credit: new CreditBank(clock),
      budgets: new MachineBudgets({ clock, log }),
      signDesiredState: (state) => ({
        signed: signContent(keys.key, TAGS.DESIRED_STATE, DesiredState.encode(state).finish()),
        certificate: certificate.current.der,
      }),
      metrics,
      clock,
      random,
      log,
      heartbeatMs: heartbeat,
      software: SOFTWARE,
    };
    react(services, inventory, port, silentAfter, scope);
    await recall(inventory, services, { latest, states: monitoring.states }, scope);
    monitoring.begin(scope);
    scope.run(
      (signal) => merging.run(keepings(inventory), signal),
      (error) => log.error({ cause: describe(error) }, 'merging has ended: readings stay as they were stored'),
    );
    const retention = new BackgroundRetention({ ...upkeep, ledger: services.ledger });
    scope.run(
      (signal) => retention.run(() => keepings(inventory), signal, options.retentionEvery),
      (error) => log.error({ cause: describe(error) }, 'retention has ended: readings stay longer than they are to'),
    );
    const { journal, events } = monitoring;
    const telling = { ...options.notify, keyFile: paths.notifyKey };
    const onDelivery = (accepted: boolean) => metrics.deliveries.add(1, { outcome: accepted ? 'accepted' : 'failed' });
    const about = { journal, events, inventory, onDelivery, clock, random, log };
    const notifications = await Notifications.open(telling, about, scope);
    const onCall = ({ path: method, code, took }: FinishedCall) =>
      metrics.calls.observe(took / 1_000, { method, code });
    const parts = {
      ...{ services, inventory, authority, keys, certificate },
      ...{ latest, watchers, monitoring, notifications },
      ...(modules.meters ? { onCall } : {}),
    };
    const { listener, publicAddress } = await serve(options, parts, scope);
    measure({ services, inventory, monitoring, watchers, listener });
    await writeOperatorFiles(directory, inventory, publicAddress, log);
    log.info({ address: listener.address, public: publicAddress, mesh }, 'cloud is up');
    return new Cloud(scope, listener, publicAddress);
  }
}

/** Never repaired unasked: what is lost may be customers and machines, which only a backup has. */
const damaged = (directory: string, cause: StorageFault): StorageFault =>
  new StorageFault('storage.damaged', cause.message, {
    cause,
    permanent: true,
    advice:
      `Run "occ cloud restore --from BACKUP --data ${directory}", or without a backup "occ cloud repair --data ` +
      `${directory}". Hubs then send again what is missing of their readings.`,
  });
