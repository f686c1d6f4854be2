// What is learnt about machines from their sessions: what they run, what they have seen before a restore, where
// connectors can be reached, and that something is wrong with an identity.
import { isDeepStrictEqual } from 'node:util';
import type { Applied } from '../../../gen/occmesh/link/v1/link.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import type { Clock } from '../../kernel/clock.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import { newCustomer } from './customers.js';
import { bumped, bumpHubs, lanAddressesOf, MAX_VERSION } from './desired-state.js';
import { certificateFields, type MachineRecord } from './records.js';
import type { Revocations } from './revocations.js';
import { machineGroup, type Tables } from './tables.js';

/** Of each text that a machine reports, characters. */
const MAX_TEXT = 1_024;
const MAX_FAILURES = 1_000;
const MAX_ADDRESSES = 16;
const MAX_FIELD = 64;
/** host:port, roughly: what a connector says of itself must not fill the desired state of every hub with anything else. */
const ADDRESS = /^[\w.:[\]%-]{1,255}:\d{1,5}$/;
const RECOVERED = 'it is not, or not like this, in the backup from which the cloud was restored';

export class Reports {
  readonly #tables: Tables;

  constructor(private readonly modules: { journal: Journal<Tables>; revocations: Revocations; clock: Clock }) {
    this.#tables = modules.journal.tables;
  }

  /** What became of a desired state. Writes only what is news. Faults: inventory.not-found. */
  async applied(id: string, applied: Applied): Promise<void> {
    const running = {
      version: applied.runningVersion,
      error: applied.error.slice(0, MAX_TEXT),
      failures: applied.failures
        .slice(0, MAX_FAILURES)
        .map(({ sensor, error }) => ({ sensor, error: error.slice(0, MAX_TEXT) })),
      ...refusedOf(applied),
    };
    await this.#change(id, (old) => (isDeepStrictEqual(old.running, running) ? old : { ...old, running }));
  }

  /**
   * A hub has seen this version. If that is above what this cloud knows (it was restored from a backup), the desired
   * state goes on one above: the hub must not be given another content under a number that it knows. Faults:
   * inventory.not-found, inventory.invalid.
   */
  async raiseConfigVersion(id: string, seen: number): Promise<void> {
    // The hub may lie, but it should not use up its own numbers by a mistake.
    if (!Number.isSafeInteger(seen) || seen < 0 || seen > MAX_VERSION / 2) {
      throw new InventoryFault('inventory.invalid', `${seen} is no version of a desired state`, { permanent: true });
    }
    const known = this.#tables.machines.get(id);
    if (known && known.configVersion >= seen) return;
    await this.#change(id, (old) => (old.configVersion >= seen ? old : { ...old, configVersion: seen + 1 }));
  }

  /**
   * After a restore: moves every hub's version by `by`, so that numbers that were given out after the backup and are
   * forgotten now are not given out again before those hubs are heard of.
   */
  async raiseAllConfigVersions(by: number): Promise<void> {
    await this.modules.journal.transact(() => {
      for (const machine of [...this.#tables.machines.latestAll()]) {
        if (machine.role === 'hub' && machine.retiredAtMs === undefined) this.#tables.machines.put(bumped(machine, by));
      }
    });
  }

  /** Puts a machine into quarantine, or takes it out (`undefined`). Faults: inventory.not-found. */
  setQuarantined(id: string, reason: string | undefined): Promise<MachineRecord> {
    return this.#change(id, (old) => {
      if (old.quarantined === reason) return old;
      const { quarantined: _, ...rest } = old;
      return reason === undefined ? rest : { ...rest, quarantined: reason.slice(0, MAX_TEXT) };
    });
  }

  /**
   * Records a machine that this cloud does not know, or knows without this key, but whose certificate a CA of this mesh
   * has issued: the store was restored from a backup older than the machine. The caller has verified the certificate
   * (it may have expired) and that its holder has the key. It begins in quarantine. Faults: inventory.revoked,
   * inventory.invalid (a cloud node, or an identity that contradicts the record).
   */
  async readopt(certificate: MeshCertificate): Promise<MachineRecord> {
    // Nearly always it is known, and nothing is to be written. Only what is durable counts here.
    const known = this.#tables.machines.byAlias(certificate.key.keyId.toString('hex'));
    if (known) this.#requireConsistent(certificate, known);
    return known ?? this.modules.journal.transact(() => this.#adopt(certificate));
  }

  #adopt(certificate: MeshCertificate): MachineRecord {
    const { identity, key } = certificate;
    const { machineId: id, customerId, role } = identity;
    if (role === 'cloud') throw new InventoryFault('inventory.invalid', 'a cloud node is not a machine');
    const now = this.modules.clock.now();
    const entry = { keyId: key.keyId.toString('hex'), spki: key.spki.toString('base64'), fromMs: now };
    const sameKey = this.#tables.machines.latestByAlias(entry.keyId);
    const known = sameKey ?? this.#tables.machines.latest(id);
    this.#requireConsistent(certificate, known);
    if (sameKey) return sameKey;
    const latest = { ...certificateFields(certificate), quarantined: RECOVERED };
    if (known) return this.#tables.machines.put({ ...known, ...latest, keys: [...known.keys, entry] });
    if (!this.#tables.customers.latest(customerId)) {
      newCustomer(this.#tables, { id: customerId, name: `recovered ${customerId}`, createdAtMs: now });
    }
    return this.#tables.machines.put({
      v: 1,
      id,
      customerId,
      role,
      // The last digits: the first ones are the time of birth, and alike for machines enrolled together.
      name: `recovered ${id.slice(-12)}`,
      info: { hostname: '', os: '', osVersion: '', arch: '', fingerprint: '', software: '' },
      keys: [entry],
      ...latest,
      enrolledAtMs: now,
      configVersion: 1,
      running: { version: 0, error: '', failures: [] },
      lanAddresses: [],
    });
  }

  #requireConsistent({ identity, key }: MeshCertificate, known: MachineRecord | undefined): void {
    const { revocations } = this.modules;
    if (
      revocations.hasMachine(identity.machineId) ||
      revocations.hasKey(key.keyId) ||
      known?.retiredAtMs !== undefined
    ) {
      throw new InventoryFault('inventory.revoked', 'this machine has been retired', {
        permanent: true,
        advice: 'To let it in again, reset its identity and enrol it with a new token.',
      });
    }
    const { machineId, customerId, role } = identity;
    if (known && (known.id !== machineId || known.customerId !== customerId || known.role !== role)) {
      throw new InventoryFault('inventory.invalid', 'this identity contradicts what is on record', { permanent: true });
    }
  }

  /** Where hubs reach a connector (host:port; anything else is left out). All hubs of its customer learn it. Faults: inventory.not-found. */
  async setLanAddresses(connectorId: string, addresses: readonly string[]): Promise<void> {
    await this.#change(connectorId, (old) => {
      const next = [...new Set(addresses.filter((address) => ADDRESS.test(address)))].slice(0, MAX_ADDRESSES).sort();
      if (old.role !== 'connector' || isDeepStrictEqual(next, old.lanAddresses)) return old;
      const group = machineGroup(old.customerId, 'connector');
      const before = lanAddressesOf(this.#tables.machines.latestGroup(group));
      this.#tables.machines.put({ ...old, lanAddresses: next });
      const after = lanAddressesOf(this.#tables.machines.latestGroup(group));
      // Two connectors may share an address in turn; hubs care for the list as a whole.
      if (!isDeepStrictEqual(before, after)) bumpHubs(this.#tables, old.customerId, () => true);
      return { ...old, lanAddresses: next };
    });
  }

  #change(id: string, next: (old: MachineRecord) => MachineRecord): Promise<MachineRecord> {
    return this.modules.journal.change(() => {
      const old = this.#tables.machines.latest(id);
      if (!old) throw notFound('machine');
      const record = next(old);
      return record === old ? old : this.#tables.machines.put(record);
    });
  }
}

/** The secrets that it refuses; absent when there are none. */
function refusedOf({ secretFailures }: Applied): Pick<MachineRecord['running'], 'secretFailures'> {
  if (secretFailures.length === 0) return {};
  const refused = secretFailures.slice(0, MAX_FAILURES).map(({ sensor, field, version, problem }) => ({
    sensor,
    field: field.slice(0, MAX_FIELD),
    version,
    problem,
  }));
  return { secretFailures: refused };
}
