// The cloud: one store, one listener, and the services on it. This file puts the parts together and ends them in
// reverse order; what they do stands in their folders.
import { readFile, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { EnrollmentServiceService } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import {
  CustomerServiceService,
  MachineServiceService,
  SensorServiceService,
  TokenServiceService,
} from '../../gen/occmesh/inventory/v1/inventory.js';
import { DesiredState, LinkServiceService, type Result } from '../../gen/occmesh/link/v1/link.js';
import { OperationsServiceService } from '../../gen/occmesh/operations/v1/operations.js';
import { ReadingServiceService } from '../../gen/occmesh/readings/v1/readings.js';
import { CloseCode, TrunkServiceService } from '../../gen/occmesh/trunk/v1/trunk.js';
import { loadDescriptors } from '../contract/descriptors.js';
import { ApiFault } from '../contract/fault.js';
import { HealthService } from '../contract/health.js';
import { GrpcListener } from '../contract/listener.js';
import { reflectionImplementation } from '../contract/reflection.js';
import { openAuthority } from '../identity/authority-folder.js';
import { IdentityFault } from '../identity/fault.js';
import { writeFileDurably, writeSecretFile } from '../identity/key-file.js';
import { signContent } from '../identity/signed.js';
import { TAGS } from '../identity/tags.js';
import { uuidBytes } from '../identity/uuid.js';
import { type Clock, every } from '../kernel/clock.js';
import { type Duration, days, epochMs, milliseconds, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import { Scope, type Stoppable } from '../kernel/scope.js';
import { SOFTWARE } from '../kernel/software.js';
import { LinkFault } from '../link/fault.js';
import { ending } from '../link/pipe.js';
import { LevelStore } from '../storage/level.js';
import type { Store } from '../storage/store.js';
import { CustomerService } from './api/customer-service.js';
import { MachineService } from './api/machine-service.js';
import { OperationsService } from './api/operations-service.js';
import { ReadingService } from './api/reading-service.js';
import { SensorService } from './api/sensor-service.js';
import { defaultSensors } from './api/sensor-settings.js';
import { TokenService } from './api/token-service.js';
import { authenticator } from './authenticate.js';
import { RESTORED } from './backup/restore.js';
import { cloudPaths, openNodeKeys } from './cloud-files.js';
import { EnrollmentService } from './enrollment/enrollment-service.js';
import { Inventory } from './inventory/inventory.js';
import { SessionPort } from './inventory/session-port.js';
import { CreditBank } from './sessions/credit.js';
import { serveLink, serveTrunk } from './sessions/link-service.js';
import { Presence } from './sessions/presence.js';
import { SessionRegistry } from './sessions/registry.js';
import type { SessionServices } from './sessions/services.js';
import { readSessionRecord } from './sessions/session-record.js';
import { recordRetired } from './sessions/tails.js';
import { TrunkRegistry } from './sessions/trunk-registry.js';
import { Ingest } from './telemetry/ingest.js';
import { LatestReadings } from './telemetry/latest.js';
import { Ledger } from './telemetry/ledger.js';
import { Watchers } from './telemetry/watch.js';

export interface CloudOptions {
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  /** Where machines and people reach it, host:port, as it stands in tokens; default: the first name and the port. */
  readonly publicAddress?: string;
  /** Names and addresses for its TLS certificate. */
  readonly names: readonly string[];
  /** The mesh's name, the trust domain of its identities. */
  readonly mesh: string;
  readonly heartbeat?: Duration;
}

export interface CloudModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Instead of the embedded store. */
  readonly openStore?: (directory: string) => Promise<Store>;
}

/** More changes than a hub can have seen between a backup and its restore. */
const RESTORE_MARGIN = 100_000;
const SWEEP = seconds(1);
const HEARTBEAT = seconds(10);
/** Three may be missed; the rest is grace. */
const LOST_AFTER_HEARTBEATS = 4.5;
const NODE_CERTIFICATE = days(90);

export class Cloud implements Stoppable {
  /** See start(). */
  constructor(
    private readonly scope: Scope,
    private readonly listener: GrpcListener,
    readonly publicAddress: string,
  ) {}

  get address(): { readonly address: string; readonly port: number } {
    return this.listener.address;
  }

  /** Faults: contract.port-*, storage.*, identity.*, inventory.*. */
  static async start(options: CloudOptions, modules: CloudModules): Promise<Cloud> {
    const scope = new Scope();
    try {
      return await assemble(options, modules, scope);
    } catch (thrown) {
      await scope.stop();
      throw thrown;
    }
  }

  stop(): Promise<void> {
    return this.scope.stop();
  }
}

async function assemble(options: CloudOptions, modules: CloudModules, scope: Scope): Promise<Cloud> {
  const { clock, random, log } = modules;
  const paths = cloudPaths(options.directory);
  const keys = await openNodeKeys(options.directory, modules);
  const authority = await openAuthority(paths.authority, options.mesh, modules);
  const store = scope.own(
    await (modules.openStore ?? ((directory) => LevelStore.open({ directory }, { log })))(paths.store),
  );
  const inventory = scope.own(
    await Inventory.open(
      { directory: options.directory, defaultSensors: defaultSensors() },
      { store, clock, random, log },
    ),
  );

  await afterRestore(options.directory, inventory, log);

  const certificate = await authority.issue({
    identity: { mesh: options.mesh, customerId: '', role: 'cloud', machineId: keys.nodeId },
    publicKey: keys.key.publicKey,
    validity: NODE_CERTIFICATE,
    dnsNames: options.names.filter((name) => !isAddress(name)),
    addresses: options.names.filter(isAddress),
  });
  const trust = authority.bundle;

  const sessions = new SessionRegistry();
  const heartbeat = options.heartbeat ?? HEARTBEAT;
  const presence = new Presence(clock, milliseconds(heartbeat * LOST_AFTER_HEARTBEATS));
  const ledger = new Ledger(store);
  const ingest = new Ingest(store);
  const latest = new LatestReadings();
  const watchers = new Watchers();
  ingest.onStored((hub, id, flushes) => {
    latest.stored(hub, id, flushes);
    watchers.stored(hub, id, flushes);
  });
  const port = new SessionPort(inventory);
  const services: SessionServices = {
    node: { key: keys.key, certificate: certificate.der },
    trust: { hub: (der) => verifyHub(() => trust.verify(der, clock.now(), { role: 'hub' })) },
    inventory: port,
    store,
    ledger,
    ingest,
    sessions,
    trunks: new TrunkRegistry({ presence, inventory: port, log }),
    presence,
    credit: new CreditBank(clock),
    signDesiredState: (state) => ({
      signed: signContent(keys.key, TAGS.DESIRED_STATE, DesiredState.encode(state).finish()),
      certificate: certificate.der,
    }),
    clock,
    random,
    log,
    heartbeatMs: heartbeat,
    software: SOFTWARE,
  };

  // What a failed write has taken away was told to nobody: whoever was on the way tries again on a new session.
  scope.defer(
    store.onReset(async () => {
      ledger.reset();
      const why = ending(CloseCode.INTERNAL, 'the cloud could not write; it has gone back to what is stored', 2_000);
      for (const session of sessions.all()) session.close(why);
    }),
  );
  scope.defer(port.onDesiredStateChanged((machineId) => sessions.of(machineId)?.sendDesiredState(-1)));
  scope.defer(
    port.onRevoked((machineId) => {
      const why = ending(CloseCode.REFUSED, 'this machine has been retired');
      sessions.of(machineId)?.close(why);
      services.trunks.of(machineId)?.end(why);
      const machine = inventory.machines.get(machineId);
      if (machine?.role !== 'hub') return;
      const hub = { customer: uuidBytes(machine.customerId), machine: uuidBytes(machineId) };
      recordRetired(services, hub).catch((thrown) => {
        log.error({ hub: machineId, cause: describe(thrown) }, 'what a retired machine still owed is not on record');
      });
    }),
  );

  await recall(inventory, services, latest, scope);
  const sweep = every(clock, SWEEP, () => {
    const silent = clock.monotonic() - heartbeat * LOST_AFTER_HEARTBEATS;
    for (const session of sessions.all()) session.endIfSilentSince(milliseconds(silent));
    presence.sweep();
  });
  scope.defer(() => sweep.disarm());

  const descriptors = loadDescriptors();
  const listener = new GrpcListener(
    {
      host: options.host,
      port: options.port,
      key: keys.key.toPem(),
      cert: certificate.pem,
      ca: trust.pems.join(''),
      access: { rules: descriptors.accessRules(), authenticate: authenticator({ trust, inventory, clock }) },
    },
    { clock, log, random },
  );
  const health = new HealthService(descriptors.services().map(({ typeName }) => typeName));
  const first = options.names[0] ?? 'localhost';
  const facts = {
    /** Known only once it listens, where any free port was asked for. */
    get cloud() {
      return options.publicAddress ?? `${first}:${listener.address.port}`;
    },
    caCertificates: trust.ders,
    enrollmentKey: keys.enrollment.publicKey,
  };
  const enrollment = new EnrollmentService(
    {},
    { inventory, authority, sealingKey: keys.enrollment, clock, random, log },
  );
  listener.add(LinkServiceService, { link: (stream, context) => serveLink(services, stream, context) });
  listener.add(TrunkServiceService, { trunk: (stream, context) => serveTrunk(services, stream, context) });
  listener.add(EnrollmentServiceService, enrollment);
  listener.add(CustomerServiceService, new CustomerService(inventory));
  listener.add(MachineServiceService, new MachineService({ inventory, presence }));
  listener.add(SensorServiceService, new SensorService({ inventory, commands: commandsOver(sessions) }));
  listener.add(TokenServiceService, new TokenService({ inventory, mesh: facts }));
  listener.add(ReadingServiceService, new ReadingService({ inventory, store, ledger, latest, watchers }));
  listener.add(OperationsServiceService, new OperationsService({ directory: options.directory, store, clock, log }));
  health.addTo(listener);
  reflectionImplementation(descriptors).addTo(listener);

  await listener.start();
  // Sessions are told before the listener closes, so that hubs come back at once and do not take it for silence.
  scope.own(listener);
  scope.defer(() => {
    health.shutDown();
    const why = ending(CloseCode.GOING_AWAY, 'the cloud is being shut down');
    for (const session of sessions.all()) session.close(why);
    for (const trunk of services.trunks.all()) trunk.end(why);
  });
  const { cloud } = facts;
  await writeOperatorFiles(options, inventory, cloud);
  log.info({ address: listener.address, public: cloud, mesh: options.mesh }, 'cloud is up');
  return new Cloud(scope, listener, cloud);
}

/**
 * The first start after a restore: hubs may have seen later desired states than this store knows. Their versions go on
 * well above, before any hub is heard from, so that no version and no sensor number ever means two things.
 */
async function afterRestore(directory: string, inventory: Inventory, log: Logger): Promise<void> {
  const marker = join(directory, RESTORED);
  const since = await readFile(marker, 'utf8').catch(() => undefined);
  if (since === undefined) return;
  await inventory.reports.raiseAllConfigVersions(RESTORE_MARGIN);
  await rm(marker);
  log.warn({ since: since.trim() }, 'this cloud was restored: hubs send again what it does not hold');
}

/** After a start: what machines were like, and the latest reading of every sensor. */
async function recall(
  inventory: Inventory,
  services: SessionServices,
  latest: LatestReadings,
  scope: Scope,
): Promise<void> {
  const machines = [...inventory.machines.all()].filter((machine) => machine.retiredAtMs === undefined);
  for (const machine of machines) {
    const key = { customer: uuidBytes(machine.customerId), machine: uuidBytes(machine.id) };
    const { lastSeenMs, shutDown } = await readSessionRecord(services.store, key);
    if (lastSeenMs > 0) services.presence.expect(machine.id, epochMs(lastSeenMs), shutDown);
  }
  // In the background: what comes in meanwhile is later, and stays.
  scope.run(
    async (signal) => {
      for (const machine of machines) {
        if (signal.aborted) return;
        if (machine.role !== 'hub') continue;
        const sensors = new Set([...inventory.sensors.of(machine.id)].map(({ number }) => number));
        const key = { customer: uuidBytes(machine.customerId), machine: uuidBytes(machine.id) };
        await latest.load(key, services.store, sensors);
      }
    },
    (error) => services.log.error({ cause: describe(error) }, 'latest readings could not be read back'),
  );
}

const commandsOver = (sessions: SessionRegistry) => ({
  runSensor: async (machineId: string, sensor: number, signal: AbortSignal): Promise<Result> => {
    const session = sessions.of(machineId);
    if (!session)
      throw new ApiFault('api.unavailable', 'the hub has no session now', { advice: 'Try again when it is online.' });
    const gone = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    return Promise.race([session.runSensor(sensor), gone]);
  },
});

function verifyHub<T>(verify: () => T): T {
  try {
    return verify();
  } catch (cause) {
    if (cause instanceof IdentityFault) throw new LinkFault('link.unauthentic', cause.message, { cause });
    throw cause;
  }
}

/** What the first operator needs to log in from this machine. */
async function writeOperatorFiles(options: CloudOptions, inventory: Inventory, cloud: string): Promise<void> {
  const paths = cloudPaths(options.directory);
  await inventory.tokens.ensureOperator((text) => writeSecretFile(paths.operatorToken, `${text}\n`));
  const client = stringify({ cloud, ca: 'ca/ca.crt', tokenFile: 'operator.token' });
  await writeFileDurably(paths.client, client, 0o644);
}

const isAddress = (name: string): boolean => isIP(name) !== 0;
