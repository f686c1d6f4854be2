// The inventory as sessions of machines see it: one narrow object instead of all its parts.
import type { Applied, DesiredState, Resealed, SealingKey } from '../../../gen/occmesh/link/v1/link.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import type { VerifyKey } from '../../identity/keys.js';
import type { Inventory } from './inventory.js';
import type { MachineRecord, MachineRole } from './records.js';

export class SessionPort {
  constructor(private readonly inventory: Inventory) {}

  machine(id: string): MachineRecord | undefined {
    return this.inventory.machines.get(id);
  }

  machineByKey(keyId: Uint8Array): MachineRecord | undefined {
    return this.inventory.machines.byKey(keyId);
  }

  verifyKeys(machineId: string): readonly VerifyKey[] {
    return this.inventory.machines.verifyKeys(machineId);
  }

  isRevoked(keyId: Uint8Array): boolean {
    return this.inventory.machines.isRevoked(keyId);
  }

  revokedKeys(customerId: string, role?: MachineRole): Buffer[] {
    return this.inventory.machines.revokedKeys(customerId, role);
  }

  desiredState(machineId: string): DesiredState | undefined {
    return this.inventory.machines.desiredState(machineId);
  }

  onDesiredStateChanged(listener: (machineId: string) => void): () => void {
    return this.inventory.machines.onDesiredStateChanged(listener);
  }

  onRevoked(listener: (machineId: string, keyId: Buffer) => void): () => void {
    return this.inventory.machines.onRevoked(listener);
  }

  onReplaced(listener: (machineId: string) => void): () => void {
    return this.inventory.admission.onReplaced(listener);
  }

  /**
   * The machine of a certificate that has been verified; one that this cloud does not know (any more) is recorded, in
   * quarantine. Faults: inventory.revoked, inventory.invalid; storage.*.
   */
  async admit(certificate: MeshCertificate): Promise<{ readonly quarantined: boolean }> {
    const machine = await this.inventory.reports.readopt(certificate);
    return { quarantined: machine.quarantined !== undefined };
  }

  recordApplied(machineId: string, applied: Applied): Promise<void> {
    return this.inventory.reports.applied(machineId, applied);
  }

  raiseConfigVersion(machineId: string, seen: number): Promise<void> {
    return this.inventory.reports.raiseConfigVersion(machineId, seen);
  }

  async setQuarantined(machineId: string, reason: string | undefined): Promise<void> {
    await this.inventory.reports.setQuarantined(machineId, reason);
  }

  /** The sealing keys that a hub says it has, the one in use first. Faults: inventory.invalid; storage.*. */
  async announceSealing(machineId: string, keys: readonly SealingKey[]): Promise<void> {
    const identity = this.verifyKeys(machineId).at(-1);
    if (identity) await this.inventory.sealing.announced(machineId, keys, identity);
  }

  /** Whether what a hub has sealed anew was taken over. Faults: inventory.invalid; storage.*. */
  async takeResealed(machineId: string, content: Resealed): Promise<boolean> {
    const identity = this.verifyKeys(machineId).at(-1);
    return identity !== undefined && (await this.inventory.sealing.resealed(machineId, content, identity));
  }

  setLanAddresses(connectorId: string, addresses: readonly string[]): Promise<void> {
    return this.inventory.reports.setLanAddresses(connectorId, addresses);
  }
}
