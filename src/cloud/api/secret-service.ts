// secrets.v1.SecretService. What comes in the clear is sealed before anything else happens, and wiped; nothing here gives
// a secret out, and no fault quotes one.

import { SecretProblem } from '../../../gen/occmesh/link/v1/link.js';
import type {
  DeleteSecretRequest,
  GetSealingContextRequest,
  GetSealingContextResponse,
  ListSecretsRequest,
  ListSecretsResponse,
  PutSecretRequest,
  Secret,
} from '../../../gen/occmesh/secrets/v1/secrets.js';
import { SecretState } from '../../../gen/occmesh/secrets/v1/secrets.js';
import { invalid } from '../../contract/status.js';
import { MAX_SECRET, sealSecret, targetParts } from '../../identity/secret-sealing.js';
import type { Random } from '../../kernel/random.js';
import type { Inventory } from '../inventory/inventory.js';
import type { SecretRecord, SensorRecord } from '../inventory/records.js';
import { sensorId } from '../inventory/tables.js';
import { InventoryFault } from '../records/faults.js';
import { page } from './paging.js';
import { type Call, View } from './tenancy.js';

/** How often something else may change the hub's configuration while a secret is being sealed here. */
const TRIES = 5;

/** A field of a sensor, with the secret in it if one has been entered. */
interface Field {
  readonly sensor: SensorRecord;
  readonly field: string;
}

export class SecretService {
  constructor(private readonly modules: { readonly inventory: Inventory; readonly random: Random }) {}

  readonly getSealingContext = async (
    request: GetSealingContextRequest,
    call: Call,
  ): Promise<GetSealingContextResponse> => {
    const sensor = this.#sensor(request.sensorId, call);
    const { place, ...key } = this.modules.inventory.secrets.prepare(idOf(sensor), request.field);
    return { ...place, target: targetParts(place.target), ...key };
  };

  readonly putSecret = async (request: PutSecretRequest, call: Call): Promise<Secret> => {
    const { secret, field } = request;
    try {
      const sensor = this.#sensor(request.sensorId, call);
      if (secret?.$case === 'sealed') {
        if (secret.value.field !== field) throw invalid('sealed.field', 'must be that of the request');
        await this.modules.inventory.secrets.put(idOf(sensor), secret.value);
      } else if (secret) await this.#seal(idOf(sensor), field, secret.value);
      else throw invalid('secret', 'is missing');
      return this.#secretOf({ sensor, field });
    } finally {
      if (secret?.$case === 'plaintext') secret.value.fill(0);
    }
  };

  readonly listSecrets = async (request: ListSecretsRequest, call: Call): Promise<ListSecretsResponse> => {
    const { items, nextPageToken } = page(this.#listed(request, this.#view(call)), keyOf, request);
    return { secrets: items.map((field) => this.#secretOf(field)), nextPageToken };
  };

  readonly deleteSecret = async (request: DeleteSecretRequest, call: Call): Promise<Secret> => {
    const sensor = this.#sensor(request.sensorId, call);
    await this.modules.inventory.secrets.remove(idOf(sensor), request.field);
    return this.#secretOf({ sensor, field: request.field });
  };

  async #seal(sensor: string, field: string, plaintext: Uint8Array): Promise<void> {
    if (plaintext.length < 1 || plaintext.length > MAX_SECRET) {
      throw invalid('plaintext', `must have 1 to ${MAX_SECRET} bytes, has ${plaintext.length}`);
    }
    const { inventory, random } = this.modules;
    for (let attempt = 1; ; attempt++) {
      const { place, sealingKey } = inventory.secrets.prepare(sensor, field);
      const sealed = await sealSecret(sealingKey, place, plaintext, random);
      try {
        await inventory.secrets.put(sensor, sealed);
        return;
      } catch (thrown) {
        const conflict = thrown instanceof InventoryFault && thrown.code === 'inventory.conflict';
        if (!conflict || attempt === TRIES) throw thrown;
      }
    }
  }

  #view(call: Call): View {
    return View.of(this.modules.inventory, call.principal);
  }

  #sensor(id: string, call: Call): SensorRecord {
    return this.#view(call).sensor('sensor_id', id);
  }

  /** Every field of every sensor in use that is asked for. */
  *#listed(request: ListSecretsRequest, view: View): Iterable<Field> {
    const { machines, sensors } = this.modules.inventory;
    const customerId = view.filter('customer_id', request.customerId);
    const hub = request.machineId === '' ? undefined : view.machine('machine_id', request.machineId);
    const only = request.sensorId === '' ? undefined : view.sensor('sensor_id', request.sensorId);
    for (const machine of hub ? [hub] : machines.list(customerId)) {
      if (machine.retiredAtMs !== undefined) continue;
      if (customerId !== undefined && machine.customerId !== customerId) continue;
      for (const sensor of sensors.of(machine.id)) {
        if (!only || idOf(only) === idOf(sensor)) yield* this.#fieldsOf(sensor);
      }
    }
  }

  *#fieldsOf(sensor: SensorRecord): Iterable<Field> {
    const { fields = {} } = this.modules.inventory.secrets.describe(sensor) ?? {};
    for (const field of Object.keys(fields)) yield { sensor, field };
  }

  #secretOf({ sensor, field }: Field): Secret {
    const { secrets } = this.modules.inventory;
    const record = secrets.get(idOf(sensor), field);
    const described = secrets.describe(sensor)?.fields;
    const { summary = '', required = false } =
      described && Object.hasOwn(described, field) ? { ...described[field] } : {};
    return {
      sensorId: idOf(sensor),
      field,
      ...this.#conditionOf(record),
      version: record?.version ?? 0,
      target: targetParts(record?.target ?? {}),
      enteredAtMs: record?.enteredAtMs ?? 0,
      summary,
      required,
    };
  }

  #conditionOf(record: SecretRecord | undefined): Pick<Secret, 'state' | 'problem'> {
    const fine = (state: SecretState) => ({ state, problem: SecretProblem.UNSPECIFIED });
    if (!record) return fine(SecretState.NOT_ENTERED);
    if (record.void === 'target-changed') return fine(SecretState.TARGET_CHANGED);
    if (record.void === 'key-lost') return fine(SecretState.KEY_LOST);
    const running = this.modules.inventory.machines.get(record.machineId)?.running;
    const { sensor, field, version } = record;
    const refused = running?.secretFailures?.find(
      (failure) => failure.sensor === sensor && failure.field === field && failure.version === version,
    );
    if (refused) return { state: SecretState.REFUSED, problem: refused.problem };
    return fine((running?.version ?? 0) < version ? SecretState.PENDING : SecretState.READY);
  }
}

const idOf = (sensor: SensorRecord): string => sensorId(sensor.machineId, sensor.number);

/** Orders by hub, number, field. */
const keyOf = ({ sensor, field }: Field): string =>
  `${sensor.machineId}/${String(sensor.number).padStart(10, '0')}/${field}`;
