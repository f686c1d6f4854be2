// The sealing keys of hubs: which one secrets are sealed to, its rotation, and its loss.
//
// A rotation is a wish in the desired state (`rotating`), which the hub answers with all of its secrets sealed to a new key.
// The cloud takes that over in one transaction or not at all, and only for its latest version; whoever is interrupted, the
// wish is still there, and the hub answers it again.
import type { Resealed, SealingKey } from '../../../gen/occmesh/link/v1/link.js';
import type { VerifyKey } from '../../identity/keys.js';
import { sealingKeyId, verifySealingKey } from '../../identity/sealing-keys.js';
import { isSealed } from '../../identity/secret-sealing.js';
import { base64 } from '../../kernel/bytes.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import { bumped } from './desired-state.js';
import type { MachineRecord, SecretRecord } from './records.js';
import { voidSecrets } from './secret-fields.js';
import { requireHub } from './sensors.js';
import type { Tables } from './tables.js';

export class Sealing {
  readonly #tables: Tables;

  constructor(private readonly modules: { readonly journal: Journal<Tables> }) {
    this.#tables = modules.journal.tables;
  }

  /** Asks a hub to replace its sealing key. Faults: inventory.not-found, inventory.unsuitable. */
  rotate(id: string): Promise<MachineRecord> {
    return this.modules.journal.change(() => {
      const hub = this.#latest(id);
      requireHub(hub);
      if (!hub.sealing) {
        throw new InventoryFault('inventory.unsuitable', `${hub.name} has not published a sealing key yet`, {
          permanent: true,
          advice: 'It has to connect first.',
        });
      }
      return hub.rotating ? hub : this.#tables.machines.put(bumped({ ...hub, rotating: true }));
    });
  }

  /**
   * A hub says which keys it has: the one in use first. When the one on record is not among them it is lost, and what was
   * sealed to it must be entered again. `identity` has been verified as the hub's. Faults: inventory.not-found,
   * inventory.invalid (the hub has not signed for its key).
   */
  async announced(id: string, keys: readonly SealingKey[], identity: VerifyKey): Promise<void> {
    const [first] = keys;
    const known = (machine: MachineRecord | undefined) => keys.some(({ key }) => base64(key) === machine?.sealing?.key);
    // Nearly always.
    if (!first || known(this.#tables.machines.get(id))) return;
    if (!verifySealingKey(identity, first.key, first.signature)) throw notSigned();
    await this.modules.journal.transact(() => {
      const hub = this.#latest(id);
      if (known(hub)) return;
      this.#tables.machines.put(bumped(withKey(hub, first)));
      const lost = ({ sealed }: SecretRecord) => sealed?.keyId !== sealingKeyId(first.key).toString('hex');
      voidSecrets(this.#tables, id, lost, 'key-lost');
    });
  }

  /**
   * Takes over what a hub has sealed anew, all at once. False when it answers something else than the latest wish: then
   * another desired state is on its way, or this has been taken over already. Faults: inventory.not-found,
   * inventory.invalid.
   */
  async resealed(
    id: string,
    { configVersion, oldKey, newKey, secrets }: Resealed,
    identity: VerifyKey,
  ): Promise<boolean> {
    if (!newKey || !verifySealingKey(identity, newKey.key, newKey.signature)) throw notSigned();
    return this.modules.journal.transact(() => {
      const hub = this.#latest(id);
      const latest = hub.rotating && hub.configVersion === configVersion;
      if (!latest || !hub.sealing || hub.sealing.key !== base64(oldKey)) return false;
      const keyId = sealingKeyId(newKey.key).toString('hex');
      const anew = new Map(
        secrets.map(({ sensor, secret }) => [`${sensor}/${secret?.field}/${secret?.version}`, secret]),
      );
      for (const record of [...this.#tables.secrets.latestGroup(id)]) {
        const sealed = anew.get(`${record.sensor}/${record.field}/${record.version}`);
        if (record.void !== undefined || !sealed || !isSealed(sealed.encapsulatedKey, sealed.ciphertext)) continue;
        const { encapsulatedKey, ciphertext } = sealed;
        const fresh = { keyId, encapsulatedKey: base64(encapsulatedKey), ciphertext: base64(ciphertext) };
        this.#tables.secrets.put({ ...record, sealed: fresh });
      }
      voidSecrets(this.#tables, id, ({ sealed }) => sealed?.keyId !== keyId, 'key-lost');
      this.#tables.machines.put(bumped(withKey(hub, newKey)));
      return true;
    });
  }

  #latest(id: string): MachineRecord {
    const machine = this.#tables.machines.latest(id);
    if (!machine) throw notFound('machine');
    return machine;
  }
}

/** The machine with another sealing key; whatever rotation there was is over. */
function withKey({ rotating: _, ...machine }: MachineRecord, { key, signature }: SealingKey): MachineRecord {
  return { ...machine, sealing: { key: base64(key), signature: base64(signature) } };
}

const notSigned = () =>
  new InventoryFault('inventory.invalid', 'the hub has not signed for its sealing key', { permanent: true });
