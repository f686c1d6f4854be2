// How a machine is shown, given what is known of its sessions.
import { MachineState } from '../../../gen/occmesh/inventory/v1/inventory.js';
import type { MachineRecord } from '../inventory/records.js';

/** That one is gone that may sleep says nothing. */
export const shownState = (state: MachineState, { maySleep }: Pick<MachineRecord, 'maySleep'>): MachineState =>
  state === MachineState.LOST && maySleep ? MachineState.ASLEEP : state;
