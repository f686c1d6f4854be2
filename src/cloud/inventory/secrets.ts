// Secrets of sensors, sealed: what is on record, entering and removing them, and making them void. The version of a secret
// is that of the desired state that brings it to its hub, so that whoever seals has to know it before: if anything else
// has raised it meanwhile, they begin again. Keys and their rotation are in sealing.ts.
import type { SealedSecret } from '../../../gen/occmesh/link/v1/link.js';
import { sealingKeyId } from '../../identity/sealing-keys.js';
import { isSealed, type SecretPlace, sameTarget } from '../../identity/secret-sealing.js';
import { base64 } from '../../kernel/bytes.js';
import type { Clock } from '../../kernel/clock.js';
import { InventoryFault, notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import { bumped } from './desired-state.js';
import type { MachineRecord, SecretRecord, SensorRecord } from './records.js';
import type { DescribeSecrets, SensorSecrets } from './secret-fields.js';
import { requireHub, requireRoom } from './sensors.js';
import { secretId, type Tables } from './tables.js';

/** What is needed to seal a secret. */
export interface Prepared {
  readonly place: SecretPlace;
  readonly certificate: Buffer;
  readonly sealingKey: Buffer;
  readonly sealingKeySignature: Buffer;
}

export class Secrets {
  readonly #tables: Tables;

  constructor(
    private readonly options: { readonly secretsOf: DescribeSecrets },
    private readonly modules: { readonly journal: Journal<Tables>; readonly clock: Clock },
  ) {
    this.#tables = modules.journal.tables;
  }

  /** `sensor`: by API id. */
  get(sensor: string, field: string): SecretRecord | undefined {
    return this.#tables.secrets.get(secretId(sensor, field));
  }

  of(machineId: string): Iterable<SecretRecord> {
    return this.#tables.secrets.group(machineId);
  }

  /** Which secrets a sensor may have; undefined: none, ever. */
  describe(sensor: SensorRecord): SensorSecrets | undefined {
    return this.options.secretsOf(sensor);
  }

  /** Faults: inventory.not-found, inventory.unsuitable, inventory.invalid (no such field). */
  prepare(sensor: string, field: string): Prepared {
    const { machines, sensors } = this.#tables;
    const found = sensors.get(sensor);
    const hub = found && machines.get(found.machineId);
    if (!found || !hub) throw notFound('sensor');
    return this.#prepared(found, hub, field);
  }

  /**
   * Enters a secret that was sealed for what `prepare` said. Faults: inventory.conflict when that is not so any more;
   * inventory.not-found, inventory.unsuitable, inventory.invalid, inventory.exhausted.
   */
  put(sensor: string, sealed: SealedSecret): Promise<SecretRecord> {
    return this.modules.journal.change(() => {
      const { place, sealingKey, hub } = this.#latest(sensor, sealed.field);
      if (!isSealed(sealed.encapsulatedKey, sealed.ciphertext))
        throw invalid('sealed', 'has not the length of a secret');
      if (sealed.version !== place.version) throw conflict('the configuration of the hub has changed');
      if (!sameTarget(place.target, sealed.target)) throw conflict('the sensor has another target');
      if (!sealingKeyId(sealingKey).equals(sealed.sealingKeyId)) throw conflict('the hub has another sealing key');
      const { customerId, machineId, field, version, target } = place;
      const record = this.#tables.secrets.put({
        v: 1,
        customerId,
        machineId,
        sensor: place.sensor,
        field,
        version,
        target,
        enteredAtMs: this.modules.clock.now(),
        sealed: {
          keyId: Buffer.from(sealed.sealingKeyId).toString('hex'),
          encapsulatedKey: base64(sealed.encapsulatedKey),
          ciphertext: base64(sealed.ciphertext),
        },
      });
      requireRoom(this.#tables, machineId);
      this.#tables.machines.put(bumped(hub));
      return record;
    });
  }

  /** Nothing happens where there is none. Faults: inventory.not-found (the sensor), inventory.unsuitable. */
  remove(sensor: string, field: string): Promise<void> {
    return this.modules.journal.change(() => {
      const found = this.#tables.sensors.latest(sensor);
      const hub = found && this.#tables.machines.latest(found.machineId);
      if (!found || !hub) throw notFound('sensor');
      const id = secretId(sensor, field);
      if (!this.#tables.secrets.latest(id)) {
        this.#requireField(found, field);
        return;
      }
      requireHub(hub);
      this.#tables.secrets.remove(id);
      this.#tables.machines.put(bumped(hub));
    });
  }

  #latest(sensor: string, field: string): Prepared & { readonly hub: MachineRecord } {
    const found = this.#tables.sensors.latest(sensor);
    const hub = found && this.#tables.machines.latest(found.machineId);
    if (!found || !hub) throw notFound('sensor');
    return { ...this.#prepared(found, hub, field), hub };
  }

  #requireField(sensor: SensorRecord, field: string): SensorSecrets {
    const described = this.options.secretsOf(sensor);
    if (described && Object.hasOwn(described.fields, field)) return described;
    const fields = Object.keys(described?.fields ?? {});
    const has = fields.length === 0 ? 'no secrets' : fields.join(', ');
    throw invalid('field', `a sensor of kind ${sensor.kind} has ${has}`);
  }

  #prepared(sensor: SensorRecord, hub: MachineRecord, field: string): Prepared {
    requireHub(hub);
    const described = this.#requireField(sensor, field);
    if (hub.quarantined !== undefined) throw unsuitable(`${hub.name} is in quarantine and gets no secrets`);
    if (!hub.sealing) throw unsuitable(`${hub.name} has not published a sealing key yet: it has to connect first`);
    const { customerId, machineId, number } = sensor;
    const version = bumped(hub).configVersion;
    return {
      place: { customerId, machineId, sensor: number, field, version, target: described.target },
      certificate: Buffer.from(hub.certificate, 'base64'),
      sealingKey: Buffer.from(hub.sealing.key, 'base64'),
      sealingKeySignature: Buffer.from(hub.sealing.signature, 'base64'),
    };
  }
}

const invalid = (field: string, message: string) =>
  new InventoryFault('inventory.invalid', message, { permanent: true, field });
const unsuitable = (message: string) => new InventoryFault('inventory.unsuitable', message, { permanent: true });
const conflict = (what: string) =>
  new InventoryFault('inventory.conflict', `${what} since the secret was sealed`, {
    advice: 'Ask what to seal for once more, seal again and repeat.',
  });
