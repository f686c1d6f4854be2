// Latest readings and states as OpenMetrics, as one principal may see them. What is not known now is left out: values of a
// sensor that has fallen silent or is paused, and of a hub that is not there, must not go on as a straight line.
import { MachineState, SensorState } from '../../../gen/occmesh/inventory/v1/inventory.js';
import type { Clock } from '../../kernel/clock.js';
import type { Presence, SensorStates } from '../api/ports.js';
import type { View } from '../api/tenancy.js';
import type { Inventory } from '../inventory/inventory.js';
import type { MachineRecord, SensorRecord } from '../inventory/records.js';
import { sensorId } from '../inventory/tables.js';
import { shownState } from '../states/machine-state.js';
import { patienceWith } from '../states/sensor-states.js';
import type { LatestReadings, PlacedReading } from '../telemetry/latest.js';
import { hubKeyOf } from '../telemetry/ledger.js';
import { END, gauge, type Labels, labelled, sample } from './text.js';

export interface LatestTextModules {
  readonly inventory: Pick<Inventory, 'customers' | 'machines' | 'sensors'>;
  readonly presence: Presence;
  readonly states: SensorStates;
  readonly latest: Pick<LatestReadings, 'of'>;
  readonly clock: Clock;
}

/** Neither up nor down: nothing is known yet. */
const UNDECIDED: readonly MachineState[] = [MachineState.NEVER_SEEN, MachineState.UNKNOWN];

/**
 * A whole text in small pieces, some of them empty. What changes meanwhile is told as it is when its piece is made; the
 * format wants each family in one go, so all machines are passed through once for each.
 */
export function* latestText(view: View, asked: string, modules: LatestTextModules): Generator<string> {
  const { inventory, presence, states, latest, clock } = modules;
  const customer = view.filter('customer', asked);
  const machines = [...inventory.machines.list(customer)].filter(({ retiredAtMs }) => retiredAtMs === undefined);
  const stateOf = (machine: MachineRecord) => shownState(presence.of(machine.id).state, machine);
  /** Of which sensors and values are told. */
  const present = function* () {
    for (const machine of machines) {
      const isTrusted = machine.role === 'hub' && machine.quarantined === undefined;
      if (isTrusted && stateOf(machine) === MachineState.ONLINE) yield machine;
    }
  };
  const labelsOf = ({ id, name, customerId }: MachineRecord): Labels => ({
    customer: inventory.customers.get(customerId)?.name ?? customerId,
    machine: name,
    // Names of machines may be the same.
    machine_id: id,
  });
  /** Undefined for each that is not told: to look at it takes its time, too. */
  const readings = function* (): Generator<readonly [PlacedReading['reading'], Labels] | undefined> {
    for (const machine of present()) {
      const labels = labelsOf(machine);
      const now = clock.now() + presence.of(machine.id).clockOffsetMs;
      for (const { reading } of latest.of(hubKeyOf(machine))) {
        const sensor = inventory.sensors.get(sensorId(machine.id, reading.sensor));
        yield sensor && isInTime(reading, sensor, now) ? [reading, { ...labels, sensor: sensor.name }] : undefined;
      }
    }
  };

  yield gauge('occ_machine_up', 'Whether a machine has a session now; left out as long as nothing is known of it');
  for (const machine of machines) {
    const state = stateOf(machine);
    if (UNDECIDED.includes(state)) continue;
    const labels = labelled({ ...labelsOf(machine), role: machine.role });
    yield sample('occ_machine_up', labels, state === MachineState.ONLINE ? 1 : 0);
  }
  yield gauge('occ_machine_state', `How a machine is: ${legend(MachineState)}`);
  for (const machine of machines) {
    yield sample('occ_machine_state', labelled({ ...labelsOf(machine), role: machine.role }), stateOf(machine));
  }
  yield gauge('occ_sensor_state', `How a sensor is: ${legend(SensorState)}`);
  for (const machine of present()) {
    const labels = labelsOf(machine);
    for (const { name, number } of inventory.sensors.of(machine.id)) {
      yield sample('occ_sensor_state', labelled({ ...labels, sensor: name }), states.of(machine.id, number).state);
    }
  }
  yield gauge('occ_reading_timestamp_seconds', "When a sensor's latest reading was taken, by the clock of its hub");
  for (const told of readings()) {
    yield told ? sample('occ_reading_timestamp_seconds', labelled(told[1]), told[0].takenAt / 1_000) : '';
  }
  yield gauge('occ_reading_value', "The values of a sensor's latest reading");
  for (const told of readings()) {
    const [{ values }, labels] = told ?? [{ values: [] }, {}];
    const common = labelled(labels);
    const ofOne = values.map(({ name, unit, value }) =>
      sample('occ_reading_value', `${common},${labelled({ metric: name, unit })}`, value),
    );
    yield ofOne.join('');
  }
  yield END;
}

/** The same rule as for states. */
const isInTime = ({ takenAt }: PlacedReading['reading'], sensor: SensorRecord, now: number): boolean =>
  !sensor.paused && takenAt >= now - patienceWith(sensor);

/** `1 initialising, 2 ok …`, as in the contract. */
function legend(names: Readonly<Record<string, string | number>>): string {
  const known = Object.entries(names).filter(([, number]) => typeof number === 'number' && number > 0);
  return known.map(([name, number]) => `${number} ${name.toLowerCase().replaceAll('_', ' ')}`).join(', ');
}
