// What all sessions of a cloud node share, handed to each of them.
import type { Applied, DesiredState, Resealed, SealingKey, SignedByCloud } from '../../../gen/occmesh/link/v1/link.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import type { SigningKey, VerifyKey } from '../../identity/keys.js';
import type { Clock } from '../../kernel/clock.js';
import type { Logger } from '../../kernel/log.js';
import type { Random } from '../../kernel/random.js';
import type { Store } from '../../storage/store.js';
import type { CloudMetrics } from '../metrics.js';
import type { Ingest } from '../telemetry/ingest.js';
import type { Ledger } from '../telemetry/ledger.js';
import type { MachineBudgets } from './budget.js';
import type { CreditBank } from './credit.js';
import type { Presence } from './presence.js';
import type { Reception } from './reception.js';
import type { SessionRegistry } from './registry.js';
import type { TrunkRegistry } from './trunk-registry.js';

/** What sessions ask of the inventory. */
export interface SessionInventory {
  isRevoked(keyId: Uint8Array): boolean;
  /** Key ids of the customer's revoked machines, or of its revoked connectors alone. */
  revokedKeys(customerId: string, role?: 'connector'): Buffer[];
  /** The machine of a valid certificate; one that is unknown (this cloud was restored) is recorded, in quarantine. */
  admit(certificate: MeshCertificate): Promise<{ readonly quarantined: boolean }>;
  verifyKeys(machineId: string): readonly VerifyKey[];
  desiredState(machineId: string): DesiredState | undefined;
  /** The versions of desired states never fall below what the hub has seen. */
  raiseConfigVersion(machineId: string, seen: number): Promise<void>;
  recordApplied(machineId: string, applied: Applied): Promise<void>;
  setQuarantined(machineId: string, reason: string | undefined): Promise<void>;
  /** The sealing keys that a hub has, the one in use first. */
  announceSealing(machineId: string, keys: readonly SealingKey[]): Promise<void>;
  /** What it has sealed anew; whether that was taken over. The signature has been verified. */
  takeResealed(machineId: string, content: Resealed): Promise<boolean>;
  setLanAddresses(connectorId: string, addresses: readonly string[]): Promise<void>;
}

export interface SessionServices {
  readonly node: { readonly key: SigningKey; readonly certificate: Buffer };
  /** Certificates verified up to the mesh CA, now. Throw LinkFault. */
  readonly trust: { hub(certificate: Uint8Array): MeshCertificate };
  readonly inventory: SessionInventory;
  readonly store: Store;
  readonly ledger: Ledger;
  readonly ingest: Ingest;
  readonly sessions: SessionRegistry;
  readonly trunks: TrunkRegistry;
  readonly presence: Presence;
  readonly reception: Reception;
  readonly credit: CreditBank;
  readonly budgets: MachineBudgets;
  readonly signDesiredState: (state: DesiredState) => SignedByCloud;
  readonly metrics: CloudMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly heartbeatMs: number;
  readonly software: string;
}
