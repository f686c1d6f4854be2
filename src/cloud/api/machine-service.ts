// inventory.v1.MachineService: what is on record about machines, together with how they are right now.
import {
  type ListMachinesRequest,
  type ListMachinesResponse,
  type Machine,
  MachineState,
  type ReleaseMachineRequest,
  type RetireMachineRequest,
  type RotateSealingKeyRequest,
  type UpdateMachineRequest,
} from '../../../gen/occmesh/inventory/v1/inventory.js';
import { roleToProto } from '../../identity/spiffe.js';
import type { Inventory } from '../inventory/inventory.js';
import type { MachineRecord } from '../inventory/records.js';
import { shownState } from '../states/machine-state.js';
import { page } from './paging.js';
import type { InMaintenance, Presence } from './ports.js';
import { type Call, View } from './tenancy.js';
import { requireName } from './validation.js';

export class MachineService {
  constructor(private readonly modules: { inventory: Inventory; presence: Presence; maintenance: InMaintenance }) {}

  readonly listMachines = async (request: ListMachinesRequest, call: Call): Promise<ListMachinesResponse> => {
    const { machines } = this.modules.inventory;
    const customerId = this.#view(call).filter('customer_id', request.customerId);
    const all = customerId === undefined ? machines.all() : machines.ofCustomer(customerId);
    const wanted = [...all].filter((machine) => request.includeRetired || machine.retiredAtMs === undefined);
    const { items, nextPageToken } = page(wanted, (machine) => machine.id, request);
    return { machines: items.map((machine) => this.#machineOf(machine)), nextPageToken };
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

  #machineOf(machine: MachineRecord): Machine {
    const now = this.modules.presence.of(machine.id);
    const retired = machine.retiredAtMs !== undefined;
    return {
      id: machine.id,
      customerId: machine.customerId,
      role: roleToProto(machine.role),
      name: machine.name,
      info: machine.info,
      state: retired ? MachineState.RETIRED : shownState(now.state, machine),
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
