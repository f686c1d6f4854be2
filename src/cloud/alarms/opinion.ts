// What there is to say about a sensor or a machine right now; and how a sensor was, going by its alarm.
import type { Inventory } from '../inventory/inventory.js';
import { sensorId } from '../inventory/tables.js';
import type { Liveness } from '../states/liveness.js';
import type { SensorVerdict } from '../states/sensor-state.js';
import type { SensorStates } from '../states/sensor-states.js';
import type { Opinion } from './alarms.js';
import { judgeMachine, judgeSensor } from './judge.js';
import type { AlarmRecord } from './records.js';
import type { Subject } from './tables.js';

export interface OpinionModules {
  readonly inventory: {
    readonly machines: Pick<Inventory['machines'], 'get'>;
    readonly sensors: Pick<Inventory['sensors'], 'get'>;
  };
  readonly presence: { liveness(machineId: string): Liveness };
  readonly states: Pick<SensorStates, 'verdict'>;
}

/** Undefined for what nobody knows any more. */
export function opinionOn({ machineId, sensor }: Subject, modules: OpinionModules): Opinion | undefined {
  const { inventory, presence, states } = modules;
  const machine = inventory.machines.get(machineId);
  if (!machine) return undefined;
  const { customerId } = machine;
  const retired = machine.retiredAtMs !== undefined;
  if (sensor !== undefined) {
    if (retired || !inventory.sensors.get(sensorId(machineId, sensor)))
      return { customerId, judgement: 'none', message: '' };
    const verdict = states.verdict(machineId, sensor);
    return { customerId, judgement: judgeSensor(verdict), message: verdict.message };
  }
  const liveness = presence.liveness(machineId);
  const quarantined = machine.quarantined !== undefined;
  const judgement = judgeMachine({ liveness, retired, quarantined, maySleep: machine.maySleep ?? false });
  const message = machine.quarantined ?? (liveness === 'lost' ? 'no sign of life' : '');
  return { customerId, judgement, message };
}

/** How a sensor was when its alarm was raised; undefined when there is none. */
export function verdictOf(alarm: AlarmRecord | undefined): SensorVerdict | undefined {
  switch (alarm?.cause) {
    case 'sensor':
      return { condition: alarm.severity, flapping: false };
    case 'stale':
      return { condition: 'stale', flapping: false };
    case 'flapping':
      return { condition: 'initialising', flapping: true };
    default:
      return undefined;
  }
}
