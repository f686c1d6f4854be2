// The hub: sensors → flusher → log → delivery over whatever path there is. This file puts the parts together and ends
// them in reverse order; what they do stands beside it and in the lower folders.
import { join } from 'node:path';
import { ByeReason } from '../../gen/occmesh/link/v1/link.js';
import { ConnectorDirectory } from '../discovery/directory.js';
import { SsdpSearcher } from '../discovery/searcher.js';
import { signContent } from '../identity/signed.js';
import { TAGS } from '../identity/tags.js';
import { uuidBytes } from '../identity/uuid.js';
import { defined } from '../kernel/defined.js';
import { milliseconds, minutes, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import { noMeters, timed } from '../kernel/metrics.js';
import { Scope, type Stoppable } from '../kernel/scope.js';
import { SOFTWARE } from '../kernel/software.js';
import { LinkFault } from '../link/fault.js';
import { carrierCall } from '../membership/carrier.js';
import { type Membership, requireMembership } from '../membership/machine-files.js';
import { keepRenewed } from '../membership/renewal.js';
import { RevokedKeys } from '../membership/revoked-keys.js';
import { KINDS } from '../sensors/registry.js';
import { SensorScheduler } from '../sensors/scheduler.js';
import { checkReading, type Reading } from '../telemetry/reading.js';
import { type DurableFlush, Wal } from '../wal/wal.js';
import { DesiredStateKeeper } from './desired-state.js';
import { Flusher } from './flusher.js';
import { Journal } from './journal.js';
import { measure } from './measure.js';
import { Member } from './member.js';
import { codeOf, HUB_METRICS, outcomeOf } from './metrics.js';
import type { HubModules, HubOptions } from './options.js';
import { PathFinder } from './path-finder.js';
import { Reconciler } from './reconcile.js';
import { Routes } from './routes.js';
import { Vault } from './vault.js';

const DEFAULT_FALLBACK = minutes(5);
const DEFAULT_LINGER = seconds(2);
/** At a stop, what is not acknowledged by then stays in the log. */
const LAST_WORDS = seconds(2);

export class Hub implements Stoppable {
  #stopping: Promise<void> | undefined;

  /** By start() only. */
  constructor(
    private readonly scope: Scope,
    readonly machineId: string,
    private readonly finder: PathFinder,
    private readonly wal: Wal,
    /** Before anything is torn down: write and deliver what is left, say goodbye. */
    private readonly farewell: () => Promise<void>,
  ) {}

  get path(): PathFinder['state'] {
    return this.finder.state;
  }

  /** Readings in the log that the cloud has not acknowledged. */
  get queuedReadings(): number {
    return this.wal.queuedReadings;
  }

  /**
   * Takes readings that somebody else has made, as one flush, at once. Resolves when they are durable. The caller sees to
   * it that they fit a batch. Faults: telemetry.invalid, wal.write-failed, wal.closed.
   */
  async append(readings: readonly Reading[]): Promise<DurableFlush> {
    for (const reading of readings) checkReading(reading);
    return await this.wal.append(readings);
  }

  /** Faults: membership.missing, membership.damaged, membership.other-machine, storage.in-use, wal.*. */
  static async start(options: HubOptions, modules: HubModules): Promise<Hub> {
    const scope = new Scope();
    try {
      return await assemble(options, modules, scope);
    } catch (thrown) {
      await scope.stop();
      throw thrown;
    }
  }

  /** Says goodbye. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.farewell().finally(() => this.scope.stop());
    return this.#stopping;
  }
}

async function assemble(options: HubOptions, modules: HubModules, scope: Scope): Promise<Hub> {
  const { clock, random, log, meters = noMeters } = modules;
  const metrics = meters.instruments(HUB_METRICS);
  const membership = await requireMembership(options.directory);
  const { trust, identity: key } = membership;
  const { customerId, machineId: id } = membership.certificate.identity;
  const machineId = uuidBytes(id);
  let { certificate } = membership;
  const revoked = new RevokedKeys();
  // A machine that wakes up in 1970 must be able to reach the cloud, which tells it the time.
  const verifyCloud = (der: Uint8Array, { allowExpired } = { allowExpired: false }) => {
    try {
      const node = trust.verify(der, clock.now(), { role: 'cloud', allowNotYetValid: true, allowExpired });
      return node.key;
    } catch (cause) {
      throw new LinkFault('link.unauthentic', describe(cause), { cause });
    }
  };

  const walDirectory = join(options.directory, 'log');
  const signGap = (content: Uint8Array) => signContent(key, TAGS.GAP, content);
  const wal = scope.own(
    await Wal.open(
      {
        directory: walDirectory,
        machineId,
        ...defined({ maxBytes: options.walBytes }),
      },
      { clock, random, log, signGap },
    ),
  );
  if (options.journal !== undefined) {
    const journal = scope.own(new Journal(options.journal));
    wal.onDurable((flush) => journal.record(flush));
  }

  const directory = await openDirectory(options, membership, modules);
  const flusher = new Flusher({
    clock,
    log,
    append: (readings) => timed(clock, metrics.flush, () => wal.append(readings)),
    linger: () => milliseconds(desired.running?.lingerMs ?? DEFAULT_LINGER),
  });
  const vault = await Vault.open({
    directory: options.directory,
    customerId,
    machineId: id,
    identity: key,
    sealing: membership.sealing,
    kinds: KINDS,
    log,
  });
  const scheduler = new SensorScheduler(
    {
      onReading: (reading) => flusher.add(reading),
      onRun: ({ kind, state, took }) => metrics.runs.observe(took / 1_000, { kind, outcome: outcomeOf(state) }),
    },
    {
      clock,
      random,
      log,
      platform: process.platform,
      exec: {
        directories: options.execDirectories ?? [],
        ...defined({ runAs: options.execRunAs }),
      },
      watch: { directories: options.watchDirectories ?? [] },
      ssh: { commands: options.sshCommands ?? {} },
      kinds: KINDS,
      openSecret: vault.open,
    },
  );
  const desired: DesiredStateKeeper = new DesiredStateKeeper({
    machineId,
    directory: options.directory,
    log,
    verifyCloud,
    apply: async (state) => {
      const secretFailures = await vault.admit(state);
      const failures = await scheduler.apply(state.sensors);
      directory.setAdvertised(state.connectors);
      return { failures, secretFailures };
    },
  });

  const newMember = await Member.factory({
    directory: options.directory,
    machineId,
    key,
    certificate: () => certificate.der,
    bootId: random.bytes(16),
    software: SOFTWARE,
    ...defined({ batchReadings: options.batchReadings }),
    wal,
    reconciler: new Reconciler(wal, log),
    desired,
    vault,
    verifyCloud,
    runSensor: (sensor) => scheduler.runNow(sensor),
    droppedBeforeLog: () => flusher.dropped,
    onStall: () => metrics.stalls.add(1),
    onRevoked: (keyIds) => revoked.replace(keyIds),
    onReturnToConnector: () => finder.leaveDirect('the cloud asks to look for a connector'),
    onDesiredState: () => finder.reconsider(),
    clock,
    random,
    log,
  });
  let member: Member | undefined;
  const { cloud } = membership.record;
  const way = defined({ proxy: options.proxy });
  const routes = new Routes(
    { cloud, directAllowed: options.directAllowed, ...way },
    {
      directory,
      credentials: () => ({ certificate, key, trust }),
      isRevoked: revoked.has,
      newMember,
      onUp: (latest) => {
        member = latest;
      },
      clock,
      random,
      log,
    },
  );
  const finder: PathFinder = new PathFinder({
    connectors: (signal) => routes.connectors(signal),
    direct: routes.direct,
    policy: () => ({
      // A hub that the cloud has told nothing yet may ask it: otherwise one that enrols where no connector is would wait
      // for a permission that cannot reach it. The answer is the first thing that comes, and ends the path if it is no.
      directAllowed: options.directAllowed && (desired.running?.directAllowed ?? true),
      fallbackAfter: options.fallbackAfter ?? milliseconds(desired.running?.fallbackAfterMs || DEFAULT_FALLBACK),
    }),
    onEnding: (why) => metrics.ended.add(1, { code: codeOf(why) }),
    clock,
    random,
    log,
  });

  measure(metrics, { finder, wal, flusher, clock });

  await desired.load();
  scope.run((signal) => finder.run(signal));
  scope.run(
    (signal) =>
      keepRenewed(
        membership,
        {
          call: carrierCall({ trust, customerId, addresses: () => routes.carriers(), ...way }, modules),
          clock,
          random,
          log,
          onRenewed: (renewed) => {
            certificate = renewed;
          },
        },
        signal,
      ),
    (error) => log.error({ cause: describe(error) }, 'certificate is not renewed any more; readings stay in the log'),
  );
  scope.own(scheduler);
  const farewell = async () => {
    await scheduler.stop();
    await flusher.stop();
    await member?.farewell(ByeReason.SHUT_DOWN, LAST_WORDS);
  };
  log.info({ machine: id, cloud }, 'hub is running');
  return new Hub(scope, id, finder, wal, farewell);
}

function openDirectory(options: HubOptions, membership: Membership, modules: HubModules): Promise<ConnectorDirectory> {
  const { interfaces, ssdpPort } = options;
  const searcher = options.multicast ? new SsdpSearcher(defined({ interfaces, ssdpPort }), modules) : undefined;
  const configured = [...new Set([...options.connectors, ...membership.record.connectors])];
  return ConnectorDirectory.open(
    { file: join(options.directory, 'connectors.json'), configured },
    { log: modules.log, ...defined({ searcher }) },
  );
}
