// Whether a machine is there, and how that changes; how it is shown.
import { MachineState } from '../../../gen/occmesh/inventory/v1/inventory.js';
import type { Edges } from '../../kernel/machine.js';

export type Liveness = 'never-seen' | 'expected' | 'online' | 'waiting' | 'shut-down' | 'lost' | 'unreachable';

/**
 * `waiting`: its session is gone without a goodbye, and it still has time to come back. `expected`: likewise, after a start
 * of the cloud, which does not know how it was.
 */
export const LIVENESS_EDGES: Edges<Liveness> = {
  'never-seen': ['online', 'expected', 'shut-down'],
  expected: ['online', 'lost', 'unreachable'],
  online: ['online', 'waiting', 'shut-down'],
  waiting: ['online', 'lost', 'unreachable'],
  'shut-down': ['online'],
  lost: ['online', 'unreachable'],
  unreachable: ['online', 'lost'],
};

/** How a liveness is shown. */
export const STATES: { readonly [L in Liveness]: MachineState } = {
  'never-seen': MachineState.NEVER_SEEN,
  expected: MachineState.UNKNOWN,
  online: MachineState.ONLINE,
  // Shown as it was last: a hub that changes its path is not lost.
  waiting: MachineState.ONLINE,
  'shut-down': MachineState.SHUT_DOWN,
  lost: MachineState.LOST,
  unreachable: MachineState.UNREACHABLE,
};
