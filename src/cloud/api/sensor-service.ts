// inventory.v1.SensorService.
import {
  type CreateSensorRequest,
  type DeleteSensorRequest,
  type DeleteSensorResponse,
  type ListSensorKindsRequest,
  type ListSensorKindsResponse,
  type ListSensorsRequest,
  type ListSensorsResponse,
  type RunSensorRequest,
  type RunSensorResponse,
  Sensor,
  SensorState,
  type UpdateSensorRequest,
} from '../../../gen/occmesh/inventory/v1/inventory.js';
import { defined } from '../../kernel/defined.js';
import type { Inventory } from '../inventory/inventory.js';
import { DEFAULT_ATTEMPTS, type SensorRecord } from '../inventory/records.js';
import { sensorId } from '../inventory/tables.js';
import { InventoryFault } from '../records/faults.js';
import { page } from './paging.js';
import type { Commands, InMaintenance, SensorStates } from './ports.js';
import { readMask } from './read-mask.js';
import { sensorKinds } from './sensor-kinds.js';
import {
  requireAttempts,
  requireInterval,
  requireKind,
  requireSettings,
  requireThresholds,
  requireTimeout,
  requireTimes,
} from './sensor-settings.js';
import { type Call, View } from './tenancy.js';
import { optionalName, requireEach, requireName } from './validation.js';

export class SensorService {
  constructor(
    private readonly modules: {
      inventory: Inventory;
      commands: Commands;
      states: SensorStates;
      maintenance: InMaintenance;
    },
  ) {}

  readonly listSensorKinds = async (_: ListSensorKindsRequest, call: Call): Promise<ListSensorKindsResponse> => {
    // The same for everybody, but for nobody who is none.
    this.#view(call);
    return { kinds: sensorKinds() };
  };

  readonly createSensor = async (request: CreateSensorRequest, call: Call): Promise<Sensor> => {
    const machine = this.#view(call).machine('machine_id', request.machineId);
    const { defaults } = requireKind(request.kind);
    const name = optionalName('name', request.name);
    const sensor = {
      kind: request.kind,
      settings: requireSettings(request.kind, request.settings),
      ...requireTimes(request.kind, request),
      thresholds: requireThresholds(
        request.kind,
        request.thresholds.length > 0 ? request.thresholds : defaults.thresholds,
      ),
      paused: false,
      ...defined({ attempts: request.attempts === 0 ? undefined : requireAttempts(request.attempts) }),
      ...(name === '' ? {} : { name }),
    };
    return this.#sensorOf(await this.modules.inventory.sensors.create(machine.id, sensor));
  };

  readonly listSensors = async (request: ListSensorsRequest, call: Call): Promise<ListSensorsResponse> => {
    const mask = readMask('occmesh.inventory.v1.Sensor', Sensor, request.readMask) ?? ((sensor) => sensor);
    const wanted = [...this.#listed(request, this.#view(call))].filter(this.#filter(request));
    const { items, nextPageToken } = page(wanted, keyOf, request);
    return { sensors: items.map((sensor) => mask(this.#sensorOf(sensor))), nextPageToken };
  };

  readonly updateSensor = async (request: UpdateSensorRequest, call: Call): Promise<Sensor> => {
    const { kind } = this.#view(call).sensor('id', request.id);
    const { name, settings, intervalMs, timeoutMs, thresholds, paused, attempts } = request;
    const change = {
      name: name === undefined ? undefined : requireName('name', name),
      settings: settings === undefined ? undefined : requireSettings(kind, settings),
      intervalMs: intervalMs === undefined ? undefined : requireInterval(intervalMs),
      timeoutMs: timeoutMs === undefined ? undefined : requireTimeout(timeoutMs),
      thresholds: thresholds === undefined ? undefined : requireThresholds(kind, thresholds.thresholds),
      paused,
      attempts: attempts === undefined ? undefined : requireAttempts(attempts),
    };
    return this.#sensorOf(await this.modules.inventory.sensors.update(request.id, change));
  };

  readonly deleteSensor = async (request: DeleteSensorRequest, call: Call): Promise<DeleteSensorResponse> => {
    this.#view(call).sensor('id', request.id);
    await this.modules.inventory.sensors.remove(request.id);
    return {};
  };

  readonly runSensor = async (request: RunSensorRequest, call: Call): Promise<RunSensorResponse> => {
    const { machineId, number } = this.#view(call).sensor('id', request.id);
    const machine = this.modules.inventory.machines.get(machineId);
    if (!machine || machine.retiredAtMs !== undefined || machine.quarantined !== undefined) {
      const why = machine?.quarantined === undefined ? 'retired' : 'in quarantine';
      throw new InventoryFault('inventory.unsuitable', `the hub is ${why} and gets no commands`, { permanent: true });
    }
    const { outcome, message, state } = await this.modules.commands.runSensor(machineId, number, call.signal);
    return { outcome, message, state };
  };

  #view(call: Call): View {
    return View.of(this.modules.inventory, call.principal);
  }

  /** Sensors of retired hubs are history: they are listed when their hub is asked for. */
  *#listed(request: ListSensorsRequest, view: View): Iterable<SensorRecord> {
    const { machines, sensors } = this.modules.inventory;
    const customerId = view.filter('customer_id', request.customerId);
    if (request.machineId !== '') {
      const machine = view.machine('machine_id', request.machineId);
      if (customerId === undefined || machine.customerId === customerId) yield* sensors.of(machine.id);
      return;
    }
    for (const machine of machines.list(customerId)) {
      if (machine.retiredAtMs === undefined) yield* sensors.of(machine.id);
    }
  }

  #filter({ states, kind }: ListSensorsRequest): (sensor: SensorRecord) => boolean {
    const wanted = new Set(requireEach('states', states, SensorState));
    if (kind !== '') requireKind(kind);
    return (sensor) => {
      if (kind !== '' && sensor.kind !== kind) return false;
      return wanted.size === 0 || wanted.has(this.modules.states.of(sensor.machineId, sensor.number).state);
    };
  }

  #sensorOf(sensor: SensorRecord): Sensor {
    const { machineId, number, name, kind, settings, intervalMs, timeoutMs, paused } = sensor;
    const { inventory, states, maintenance } = this.modules;
    const failures = inventory.machines.get(machineId)?.running.failures ?? [];
    return {
      id: sensorId(machineId, number),
      machineId,
      number,
      name,
      kind,
      settings,
      intervalMs,
      timeoutMs,
      thresholds: [...sensor.thresholds],
      paused,
      configError: failures.find((failure) => failure.sensor === number)?.error ?? '',
      attempts: sensor.attempts ?? DEFAULT_ATTEMPTS,
      ...states.of(machineId, number),
      inMaintenance: maintenance.covers(machineId),
    };
  }
}

/** Orders by hub, then number. */
function keyOf(sensor: SensorRecord): string {
  return `${sensor.machineId}/${String(sensor.number).padStart(10, '0')}`;
}
