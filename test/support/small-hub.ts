// A hub without sensors and without a network: a real log on a store in memory, the real member, reconciler and delivery,
// on carriers of a test's own. It can be copied at any moment, as a backup or a clone of its disk would be.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Path } from '../../gen/occmesh/link/v1/link.js';
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import type { HubHost } from '../../src/cloud/sessions/hub-host.js';
import { DesiredStateKeeper } from '../../src/hub/desired-state.js';
import { Member as HubMember, type MemberModules } from '../../src/hub/member.js';
import { Reconciler } from '../../src/hub/reconcile.js';
import type { TrustBundle } from '../../src/identity/certificates.js';
import type { VerifyKey } from '../../src/identity/keys.js';
import { signContent } from '../../src/identity/signed.js';
import { TAGS } from '../../src/identity/tags.js';
import { defined } from '../../src/kernel/defined.js';
import { epochMs, seconds } from '../../src/kernel/duration.js';
import { describe as describeError } from '../../src/kernel/fault.js';
import { type Logger, silentLogger } from '../../src/kernel/log.js';
import type { CloudSession } from '../../src/link/cloud-session.js';
import { LinkFault } from '../../src/link/fault.js';
import { HubSession } from '../../src/link/hub-session.js';
import { ending, type Pipe } from '../../src/link/pipe.js';
import { MemoryStore } from '../../src/storage/memory.js';
import type { Reading } from '../../src/telemetry/reading.js';
import { type DurableFlush, Wal, type WalOptions } from '../../src/wal/wal.js';
import type { Member } from '../unit/identity/fixtures.js';
import type { FakeClock } from './fake-clock.js';
import { MemoryCarrier } from './memory-pipe.js';
import { seededRandom } from './seeded-random.js';
import { keyOf, type SmallCloud } from './small-cloud.js';
import { until } from './until.js';

/** What was reported durable, by whichever copy of the hub: the number in every reading is given once. */
export type History = DurableFlush[];

export interface SmallHubModules {
  readonly identity: Member;
  readonly trust: TrustBundle;
  readonly clock: FakeClock;
  /** Two hubs with the same seed and the same past have the same log. */
  readonly seed: number;
  readonly history?: History;
  readonly wal?: Partial<WalOptions>;
  /** 1: every flush is a full batch, which waits for no answer to those before it. */
  readonly batchReadings?: number;
  readonly log?: Logger;
  /** Hears of every stall of the window. */
  readonly onStall?: () => void;
}

interface Disk {
  readonly directory: string;
  readonly store: MemoryStore;
}

export interface Connected {
  readonly carrier: MemoryCarrier;
  readonly session: HubSession;
  readonly host: HubHost;
  readonly cloudSession: CloudSession;
}

export class SmallHub implements AsyncDisposable {
  readonly history: History;
  /** Numbers of the commands that reached a sensor. */
  readonly ran: number[] = [];
  readonly applied: number[] = [];
  /** How often the cloud has advised it to look for a connector again. */
  readonly calledBack: { times: number };

  private constructor(
    readonly modules: SmallHubModules,
    private readonly disk: Disk,
    readonly wal: Wal,
    readonly desired: DesiredStateKeeper,
    private readonly newMember: (path: Path) => HubMember,
    ran: number[],
    applied: number[],
    calledBack: { times: number },
  ) {
    this.history = modules.history ?? [];
    this.ran = ran;
    this.applied = applied;
    this.calledBack = calledBack;
    wal.onDurable((flush) => this.history.push(flush));
  }

  /** With an empty disk, or with one that was copied. */
  static async start(modules: SmallHubModules, disk?: Disk): Promise<SmallHub> {
    const { directory, store } = disk ?? (await emptyDisk());
    const { identity, trust, clock, seed } = modules;
    const random = seededRandom(seed);
    const machineId = keyOf(identity).machine;
    const wal = await Wal.open(
      { directory: join(directory, 'log'), machineId, reserveBytes: 4_096, ...modules.wal },
      {
        clock,
        random,
        log: silentLogger,
        signGap: (content) => signContent(identity.key, TAGS.GAP, content),
        openStore: async () => store,
      },
    );
    const verifyCloud = (der: Uint8Array): VerifyKey => {
      try {
        return trust.verify(der, clock.now(), { role: 'cloud' }).key;
      } catch (cause) {
        throw new LinkFault('link.unauthentic', describeError(cause), { cause });
      }
    };
    const [ran, applied]: [number[], number[]] = [[], []];
    const calledBack = { times: 0 };
    const desired = new DesiredStateKeeper({
      machineId,
      directory,
      log: silentLogger,
      verifyCloud,
      apply: async ({ version }) => {
        applied.push(version);
        return { failures: [], secretFailures: [] };
      },
    });
    await desired.load();
    const newMember = await HubMember.factory({
      directory,
      machineId,
      key: identity.key,
      certificate: () => identity.certificate.der,
      bootId: random.bytes(16),
      software: 'test',
      wal,
      reconciler: new Reconciler(wal, silentLogger),
      desired,
      vault: NO_VAULT,
      verifyCloud,
      runSensor: async (sensor) => {
        ran.push(sensor);
        return reading(sensor, 0, clock);
      },
      droppedBeforeLog: () => 0,
      onStall: () => modules.onStall?.(),
      ...defined({ batchReadings: modules.batchReadings }),
      onRevoked: () => undefined,
      onReturnToConnector: () => {
        calledBack.times += 1;
      },
      onDesiredState: () => undefined,
      clock,
      random,
      log: modules.log ?? silentLogger,
    });
    return new SmallHub(modules, { directory, store }, wal, desired, newMember, ran, applied, calledBack);
  }

  /** One flush per number, each with `count` readings. */
  async write(ids: readonly number[], count = 1): Promise<void> {
    for (const id of ids) {
      const readings = Array.from({ length: count }, (_, i) => reading(i + 1, id * 1_000 + i, this.modules.clock));
      await this.wal.append(readings);
    }
  }

  /** A session on a connection to whatever cloud is behind it. */
  over(pipe: Pipe, path: Path = Path.CONNECTOR): HubSession {
    return new HubSession({
      pipe,
      member: this.newMember(path),
      clock: this.modules.clock,
      nonce: seededRandom(sessions++).bytes(32),
      log: silentLogger,
    });
  }

  /** A session straight to the cloud on a new carrier; returns before the handshake. */
  connect(cloud: SmallCloud, carrier: MemoryCarrier = new MemoryCarrier()): Connected {
    const { host, session: cloudSession } = cloud.serve(carrier.cloud, this.modules.identity.certificate);
    return { carrier, session: this.over(carrier.hub, Path.DIRECT), host, cloudSession };
  }

  /** Connects and waits until the session is up. */
  async up(cloud: SmallCloud, carrier?: MemoryCarrier): Promise<Connected> {
    const connected = this.connect(cloud, carrier);
    const failed = await connected.session.opened;
    if (failed) throw new Error(`the session did not come up: ${failed.message}`);
    return connected;
  }

  /** Connects, delivers everything, and leaves. */
  async deliver(cloud: SmallCloud): Promise<void> {
    const { session } = await this.up(cloud);
    await this.delivered();
    session.close(ending(CloseCode.DONE, 'delivered'));
    await session.ended;
  }

  /** Until the cloud has everything; time goes on for heartbeats, which ask for credit, when nothing else happens. */
  async delivered(): Promise<void> {
    const { wal } = this;
    let waitedSince = performance.now();
    const isDelivered = async () => {
      if (wal.queuedReadings === 0 && wal.gaps().length === 0) return true;
      if (performance.now() - waitedSince > BEFORE_HEARTBEAT_MS) {
        await this.modules.clock.advance(seconds(10));
        waitedSince = performance.now();
      }
      return false;
    };
    await until(isDelivered, 'delivery of everything').catch((thrown: unknown) => {
      const waiting = wal.unacked().map((log) => [log.log.toString('hex'), log.waiting.toProto()]);
      throw new Error(`${String(thrown)}: ${JSON.stringify(waiting)}`);
    });
  }

  /** A copy of the disk as it is now. */
  async copy(): Promise<Disk> {
    const directory = await mkdtemp(join(tmpdir(), 'hub-'));
    await cp(this.disk.directory, directory, { recursive: true });
    return { directory, store: this.disk.store.restarted() };
  }

  /** The service stops and starts again. */
  async restarted(change: Partial<SmallHubModules> = {}): Promise<SmallHub> {
    await this.wal.stop();
    const { directory, store } = this.disk;
    const modules = { ...this.modules, history: this.history, seed: this.modules.seed + 1, ...change };
    return SmallHub.start(modules, { directory, store: store.restarted() });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.wal.stop();
    await rm(this.disk.directory, { recursive: true, force: true });
  }
}

/** Of a hub whose sensors have no secrets. */
export const NO_VAULT: MemberModules['vault'] = {
  statements: () => [],
  answer: async () => undefined,
  settle: async () => undefined,
};

/** Real time without progress after which virtual time is moved to the next heartbeat. */
const BEFORE_HEARTBEAT_MS = 50;

/** No two sessions of a test run have the same nonce. */
let sessions = 0;

async function emptyDisk(): Promise<Disk> {
  return { directory: await mkdtemp(join(tmpdir(), 'hub-')), store: new MemoryStore() };
}

function reading(sensor: number, id: number, clock: FakeClock): Reading {
  return {
    sensor,
    takenAt: epochMs(clock.now()),
    state: State.OK,
    message: '',
    values: [{ name: 'id', unit: '', value: id }],
  };
}

export const idsOf = (readings: readonly Reading[]): number[] => readings.map(({ values }) => values[0]?.value ?? -1);
