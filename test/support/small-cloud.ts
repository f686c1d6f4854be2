// The cloud's sessions on a store in memory, wired as src/cloud/cloud.ts does it, with an inventory that only remembers.
import type { Applied, DesiredState } from '../../gen/occmesh/link/v1/link.js';
import { DesiredState as DesiredStateType } from '../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import { CLOUD_METRICS } from '../../src/cloud/metrics.js';
import { type BudgetLimits, MachineBudgets } from '../../src/cloud/sessions/budget.js';
import { CreditBank } from '../../src/cloud/sessions/credit.js';
import { HubHost } from '../../src/cloud/sessions/hub-host.js';
import { Presence } from '../../src/cloud/sessions/presence.js';
import { Reception } from '../../src/cloud/sessions/reception.js';
import { SessionRegistry } from '../../src/cloud/sessions/registry.js';
import type { SessionInventory, SessionServices } from '../../src/cloud/sessions/services.js';
import { TrunkRegistry } from '../../src/cloud/sessions/trunk-registry.js';
import { heldRanges, isMerged } from '../../src/cloud/telemetry/held.js';
import { Ingest } from '../../src/cloud/telemetry/ingest.js';
import type { PlacedReading } from '../../src/cloud/telemetry/latest.js';
import { type HubKey, Ledger, type LogState } from '../../src/cloud/telemetry/ledger.js';
import { BackgroundMerging } from '../../src/cloud/telemetry/merging/background.js';
import type { Steps } from '../../src/cloud/telemetry/merging/plan.js';
import { queryReadings } from '../../src/cloud/telemetry/query.js';
import type { MeshCertificate, TrustBundle } from '../../src/identity/certificates.js';
import { IdentityFault } from '../../src/identity/fault.js';
import type { VerifyKey } from '../../src/identity/keys.js';
import { signContent } from '../../src/identity/signed.js';
import { TAGS } from '../../src/identity/tags.js';
import { uuidBytes } from '../../src/identity/uuid.js';
import { seconds } from '../../src/kernel/duration.js';
import { type Logger, silentLogger } from '../../src/kernel/log.js';
import { type Meters, noMeters } from '../../src/kernel/metrics.js';
import type { Random } from '../../src/kernel/random.js';
import { CloudSession } from '../../src/link/cloud-session.js';
import { LinkFault } from '../../src/link/fault.js';
import { ending, type Pipe } from '../../src/link/pipe.js';
import { MemoryStore, type MemoryStoreOptions } from '../../src/storage/memory.js';
import type { Member } from '../unit/identity/fixtures.js';
import type { FakeClock } from './fake-clock.js';

export class MemoryInventory implements SessionInventory {
  readonly revoked = new Set<string>();
  readonly quarantined = new Map<string, string>();
  readonly applied: Applied[] = [];
  readonly states = new Map<string, DesiredState>();
  readonly keys = new Map<string, VerifyKey[]>();
  /** Awaited in admit(). */
  admitting: Promise<void> = Promise.resolve();

  isRevoked(keyId: Uint8Array): boolean {
    return this.revoked.has(Buffer.from(keyId).toString('hex'));
  }

  revokedKeys(): Buffer[] {
    return [...this.revoked].map((key) => Buffer.from(key, 'hex'));
  }

  async admit({ identity, key }: MeshCertificate): Promise<{ readonly quarantined: boolean }> {
    await this.admitting;
    const keys = this.keys.get(identity.machineId) ?? [];
    if (!keys.some((known) => known.equals(key))) this.keys.set(identity.machineId, [...keys, key]);
    return { quarantined: this.quarantined.has(identity.machineId) };
  }

  verifyKeys(machineId: string): readonly VerifyKey[] {
    return this.keys.get(machineId) ?? [];
  }

  desiredState(machineId: string): DesiredState | undefined {
    return this.states.get(machineId);
  }

  async raiseConfigVersion(machineId: string, seen: number): Promise<void> {
    const state = this.states.get(machineId);
    if (state && state.version < seen) this.states.set(machineId, { ...state, version: seen + 1 });
  }

  async recordApplied(_machineId: string, applied: Applied): Promise<void> {
    this.applied.push(applied);
  }

  async setQuarantined(machineId: string, reason: string | undefined): Promise<void> {
    if (reason === undefined) this.quarantined.delete(machineId);
    else this.quarantined.set(machineId, reason);
  }

  async announceSealing(): Promise<void> {}

  async takeResealed(): Promise<boolean> {
    return false;
  }

  async setLanAddresses(): Promise<void> {}
}

export interface SmallCloudModules {
  readonly node: Member;
  readonly trust: TrustBundle;
  readonly clock: FakeClock;
  readonly random: Random;
  readonly store?: MemoryStore;
  readonly inventory?: MemoryInventory;
  /** Instead of the real one. */
  readonly budget?: BudgetLimits;
  /** Ranges are merged as soon as they are due; by default never. */
  readonly mergeSteps?: Steps;
  /** Hears what is wrong with hubs. */
  readonly log?: Logger;
  readonly meters?: Meters;
}

export const PATIENCE = seconds(45);

export class SmallCloud {
  readonly store: MemoryStore;
  readonly inventory: MemoryInventory;
  readonly services: SessionServices;
  readonly presence: Presence;
  /** Calls of listeners for what was stored, as (log, first flush). */
  readonly told: string[] = [];

  readonly #stop = new AbortController();

  constructor(private readonly modules: SmallCloudModules) {
    const { node, trust, clock, random, store = new MemoryStore(), inventory = new MemoryInventory() } = modules;
    this.store = store;
    this.inventory = inventory;
    this.presence = new Presence(clock, PATIENCE);
    const ledger = new Ledger(store);
    const ingest = new Ingest(store);
    const sessions = new SessionRegistry();
    ingest.onStored((_hub, log, { header }) => this.told.push(`${log.toString('hex')}/${header.firstFlush}`));
    const { mergeSteps } = modules;
    if (mergeSteps) {
      const merging = new BackgroundMerging({ store, clock, log: silentLogger, isBusy: () => false }, mergeSteps);
      ingest.onStored((hub, log, batch) => {
        merging.stored(hub, log, batch);
      });
      void merging.run([], this.#stop.signal);
    }
    this.services = {
      node: { key: node.key, certificate: node.certificate.der },
      trust: {
        hub: (der) => {
          try {
            return trust.verify(der, clock.now(), { role: 'hub' });
          } catch (cause) {
            if (cause instanceof IdentityFault) throw new LinkFault('link.unauthentic', cause.message, { cause });
            throw cause;
          }
        },
      },
      inventory,
      store,
      ledger,
      ingest,
      sessions,
      trunks: new TrunkRegistry({ presence: this.presence, inventory, store: this.store, clock, log: silentLogger }),
      presence: this.presence,
      reception: new Reception({ clock, random }),
      credit: new CreditBank(clock),
      budgets: new MachineBudgets({ clock, log: modules.log ?? silentLogger }, modules.budget),
      signDesiredState: (state) => ({
        signed: signContent(node.key, TAGS.DESIRED_STATE, DesiredStateType.encode(state).finish()),
        certificate: node.certificate.der,
      }),
      metrics: (modules.meters ?? noMeters).instruments(CLOUD_METRICS),
      clock,
      random,
      log: silentLogger,
      heartbeatMs: 10_000,
      software: 'test',
    };
    store.onReset(async () => {
      ledger.reset();
      for (const session of sessions.all()) session.close(ending(CloseCode.INTERNAL, 'the cloud could not write', 1));
    });
  }

  /** A hub's direct connection. */
  serve(pipe: Pipe, peer: MeshCertificate): { host: HubHost; session: CloudSession } {
    const { clock, random } = this.modules;
    const host = new HubHost(this.services, { connector: undefined, peer });
    return { host, session: new CloudSession({ pipe, host, clock, random }) };
  }

  /** The process ends and another one begins, with the same store or an earlier copy of it. */
  async restarted(from: MemoryStore = this.store, options: MemoryStoreOptions = {}): Promise<SmallCloud> {
    for (const session of this.services.sessions.all()) session.close(ending(CloseCode.GOING_AWAY, 'restart'));
    this.#stop.abort();
    await this.store.stop();
    return new SmallCloud({ ...this.modules, store: from.restarted(options), inventory: this.inventory });
  }

  /** Everything stored of a hub. */
  async readings(hub: HubKey): Promise<PlacedReading[]> {
    const all: PlacedReading[] = [];
    for await (const some of queryReadings(this.store, hub, { sensor: 0, from: -8e15, until: 8e15 })) all.push(...some);
    return all;
  }

  /** Ranges that are stored merged. */
  async mergedRanges(hub: HubKey): Promise<number> {
    let count = 0;
    for await (const { entry } of heldRanges(this.store, hub)) if (isMerged(entry)) count += 1;
    return count;
  }

  /** As a cloud that starts would read it. */
  async logs(hub: HubKey): Promise<ReadonlyMap<string, LogState>> {
    return (await new Ledger(this.store).of(hub)).logs;
  }
}

export const keyOf = (member: Member): HubKey => ({
  customer: uuidBytes(member.certificate.identity.customerId),
  machine: uuidBytes(member.certificate.identity.machineId),
});
