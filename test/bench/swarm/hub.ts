// A hub of a swarm: everything of a real hub that talks to the cloud (log, keys, signatures, sessions, the search for a
// path), and instead of sensors one reading at a time, as the swarm says.
import { join } from 'node:path';
import type { Path } from '../../../gen/occmesh/link/v1/link.js';
import { DesiredStateKeeper } from '../../../src/hub/desired-state.js';
import { Member } from '../../../src/hub/member.js';
import { PathFinder, type Route } from '../../../src/hub/path-finder.js';
import { Reconciler } from '../../../src/hub/reconcile.js';
import type { TrustBundle } from '../../../src/identity/certificates.js';
import { signSealingKey } from '../../../src/identity/sealing-keys.js';
import { signContent } from '../../../src/identity/signed.js';
import { TAGS } from '../../../src/identity/tags.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import type { Clock } from '../../../src/kernel/clock.js';
import { minutes } from '../../../src/kernel/duration.js';
import { describe } from '../../../src/kernel/fault.js';
import { silentLogger as log } from '../../../src/kernel/log.js';
import type { Random } from '../../../src/kernel/random.js';
import { SOFTWARE } from '../../../src/kernel/software.js';
import { LinkFault } from '../../../src/link/fault.js';
import { loadMembership, type Membership } from '../../../src/membership/machine-files.js';
import { Wal } from '../../../src/wal/wal.js';

export interface SwarmModules {
  readonly clock: Clock;
  readonly random: Random;
}

const NO_FAILURES = { failures: [], secretFailures: [] };

/** Looks for ways to the cloud; each way makes its sessions with `newMember`. */
export type Search = (signal: AbortSignal) => AsyncIterable<Route>;

export class SwarmHub {
  /** Readings that are durable in its log, ever. */
  written = 0;
  readonly machineId: string;

  private constructor(
    readonly membership: Membership,
    readonly newMember: (path: Path) => Member,
    private readonly wal: Wal,
    private readonly modules: SwarmModules,
  ) {
    this.machineId = membership.certificate.identity.machineId;
  }

  /** `trust`: that of all hubs of a mesh, so that a swarm verifies the cloud's certificate only once. */
  static async open(directory: string, trust: TrustBundle, modules: SwarmModules): Promise<SwarmHub> {
    const { clock, random } = modules;
    const membership = await requireMember(directory);
    const { certificate, identity: key } = membership;
    const machineId = uuidBytes(certificate.identity.machineId);
    const signGap = (content: Uint8Array) => signContent(key, TAGS.GAP, content);
    const wal = await Wal.open(
      { directory: join(directory, 'log'), machineId, reserveBytes: 0 },
      { clock, random, log, signGap },
    );
    const verifyCloud = (der: Uint8Array) => {
      try {
        return trust.verify(der, clock.now(), { role: 'cloud' }).key;
      } catch (cause) {
        throw new LinkFault('link.unauthentic', describe(cause), { cause });
      }
    };
    const sealingKey = membership.sealing.publicKey;
    const statements = [{ key: sealingKey, signature: signSealingKey(key, sealingKey) }];
    const newMember = await Member.factory({
      directory,
      machineId,
      key,
      certificate: () => certificate.der,
      bootId: random.bytes(16),
      software: SOFTWARE,
      wal,
      reconciler: new Reconciler(wal, log),
      desired: new DesiredStateKeeper({ machineId, directory, log, verifyCloud, apply: async () => NO_FAILURES }),
      // Their statements are part of every Hello.
      vault: { statements: () => statements, answer: async () => undefined, settle: async () => undefined },
      verifyCloud,
      runSensor: () => Promise.reject(new Error('there are no sensors')),
      droppedBeforeLog: () => 0,
      onRevoked: () => undefined,
      onReturnToConnector: () => undefined,
      onDesiredState: () => undefined,
      clock,
      random,
      log,
    });
    return new SwarmHub(membership, newMember, wal, modules);
  }

  /** Keeps a session up until the signal is aborted; `onUp` is called for each. */
  async run(search: Search, onUp: () => void, onDown: () => void, signal: AbortSignal): Promise<void> {
    const finder = new PathFinder({
      connectors: search,
      direct: { name: 'direct', open: () => Promise.reject(new Error('not allowed')) },
      policy: () => ({ directAllowed: false, fallbackAfter: minutes(5) }),
      ...this.modules,
      log,
    });
    finder.onChange((to, from) => {
      if (to === 'connector') onUp();
      if (from === 'connector') onDown();
    });
    await finder.run(signal);
  }

  /** One reading, durable when the promise resolves. */
  async write(): Promise<void> {
    const value = 20 + (this.written % 17) / 10;
    const values = [{ name: 'temperature', unit: 'C', value }];
    await this.wal.append([{ sensor: 1, takenAt: this.modules.clock.now(), state: 1, message: '', values }]);
    this.written += 1;
  }

  /** Readings that the cloud has not acknowledged. */
  get queued(): number {
    return this.wal.queuedReadings;
  }

  stop(): Promise<void> {
    return this.wal.stop();
  }
}

export async function requireMember(directory: string): Promise<Membership> {
  const membership = await loadMembership(directory, undefined);
  if (!membership) throw new Error(`${directory} holds no membership`);
  return membership;
}
