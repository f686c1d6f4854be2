// inventory.v1.MachineService: what is on record about machines, together with how they are right now.
import { Role } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import {
  type ListMachinesRequest,
  type ListMachinesResponse,
  Machine,
  MachineState,
  type ReleaseMachineRequest,
  type RetireMachineRequest,
  type RotateSealingKeyRequest,
  type UpdateMachineRequest,
} from '../../../gen/occmesh/inventory/v1/inventory.js';
import { invalid } from '../../contract/status.js';
import { roleToProto } from '../../identity/spiffe.js';
import type { Inventory } from '../inventory/inventory.js';
import type { MachineRecord } from '../inventory/records.js';
import { shownState } from '../states/machine-state.js';
import { page } from './paging.js';
import type { InMaintenance, Presence } from './ports.js';
import { readMask } from './read-mask.js';
import { type Call, View } from './tenancy.js';
import { requireEach, requireMachineRole, requireName } from './validation.js';

const MAX_TEXT = 64;

export class MachineService {
  constructor(private readonly modules: { inventory: Inventory; presence: Presence; maintenance: InMaintenance }) {}

  readonly listMachines = async (request: ListMachinesRequest, call: Call): Promise<ListMachinesResponse> => {
    const { machines } = this.modules.inventory;
    const customerId = this.#view(call).filter('customer_id', request.customerId);
    const mask = readMask('occmesh.inventory.v1.Machine', Machine, request.readMask) ?? ((machine) => machine);
    const wanted = [...machines.list(customerId)].filter(this.#filter(request));
    const { items, nextPageToken } = page(wanted, (machine) => machine.id, request);
    return { machines: items.map((machine) => mask(this.#machineOf(machine))), nextPageToken };
  };

  readonly updateMachine = async (request: UpdateMachineRequest, call: Call): Promise<Machine> => {
    const { id } = this.#view(call).machine('id', request.id);
    const { name, directAllowed, maySleep } = request;
    if (name !== undefined) requireName('name', name);
    return this.#machineOf(await this.modules.inventory.machines.update(id, { name, directAllowed, maySleep }));
  };

  readonly retireMachine = async (request: RetireMachineRequest, call: Call): Promise<Machine> => {
    const { id } = this.#view(call).machine('id', request.id);
    return this.#machineOf(await this.modules.inventory.machines.retire(id));
  };

  readonly releaseMachine = async (request: ReleaseMachineRequest, call: Call): Promise<Machine> => {
    const { id } = this.#view(call).machine('id', request.id);
    return this.#machineOf(await this.modules.inventory.reports.setQuarantined(id, undefined));
  };

  readonly rotateSealingKey = async (request: RotateSealingKeyRequest, call: Call): Promise<Machine> => {
    const { id } = this.#view(call).machine('id', request.id);
    return this.#machineOf(await this.modules.inventory.sealing.rotate(id));
  };

  #view(call: Call): View {
    return View.of(this.modules.inventory, call.principal);
  }

  #filter({ includeRetired, states, role, nameContains }: ListMachinesRequest): (machine: MachineRecord) => boolean {
    const wanted = new Set(requireEach('states', states, MachineState));
    const only = role === Role.UNSPECIFIED ? undefined : requireMachineRole(role);
    if (nameContains.length > MAX_TEXT) throw invalid('name_contains', `must have at most ${MAX_TEXT} characters`);
    const text = nameContains.toLowerCase();
    return (machine) => {
      if (machine.retiredAtMs !== undefined && !includeRetired && !wanted.has(MachineState.RETIRED)) return false;
      if (only !== undefined && machine.role !== only) return false;
      if (!machine.name.toLowerCase().includes(text)) return false;
      return wanted.size === 0 || wanted.has(this.#stateOf(machine));
    };
  }

  #stateOf(machine: MachineRecord): MachineState {
    if (machine.retiredAtMs !== undefined) return MachineState.RETIRED;
    return shownState(this.modules.presence.of(machine.id).state, machine);
  }

  #machineOf(machine: MachineRecord): Machine {
    const now = this.modules.presence.of(machine.id);
    return {
      id: machine.id,
      customerId: machine.customerId,
      role: roleToProto(machine.role),
      name: machine.name,
      info: machine.info,
      state: this.#stateOf(machine),
      path: now.path,
      connectorId: now.connectorId,
      lastSeenMs: now.lastSeenMs,
      enrolledAtMs: machine.enrolledAtMs,
      certificateExpiresAtMs: machine.certificateExpiresAtMs,
      companionId: machine.companionId ?? '',
      directAllowed: machine.directAllowed,
      configVersion: machine.configVersion,
      runningVersion: machine.running.version,
      configError: machine.running.error,
      queuedReadings: now.queuedReadings,
      queuedAgeMs: now.queuedAgeMs,
      clockOffsetMs: now.clockOffsetMs,
      software: now.software || machine.info.software,
      hubCount: machine.role === 'connector' ? now.hubCount : 0,
      lanAddresses: [...machine.lanAddresses],
      quarantined: machine.quarantined !== undefined,
      rotating: machine.rotating === true,
      maySleep: machine.maySleep ?? false,
      inMaintenance: this.modules.maintenance.covers(machine.id),
      connectorLost: now.connectorLost,
    };
  }
}
