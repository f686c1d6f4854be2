// The whole mesh as one picture: who carries whom, what was measured last, what is known to be lost.
import {
  type Customer,
  type LogLedger,
  type Machine,
  MachineState,
  Path,
  type Reading,
  Role,
  type Sensor,
} from '../../client/index.js';
import { defined } from '../../kernel/defined.js';
import type { Session } from '../operator.js';

export interface SensorView {
  readonly sensor: Sensor;
  readonly latest: Reading | undefined;
}

export interface HubView {
  readonly hub: Machine;
  readonly sensors: readonly SensorView[];
  /** Logs with known gaps, or of which something has expired. */
  readonly logs: readonly LogLedger[];
}

export interface ConnectorView {
  readonly connector: Machine;
  readonly hubs: readonly HubView[];
}

export interface CustomerView {
  readonly customer: Customer;
  readonly connectors: readonly ConnectorView[];
  /** Straight to the cloud. */
  readonly direct: readonly HubView[];
  /** Connected by nothing now. */
  readonly apart: readonly HubView[];
  readonly openAlarms: number;
}

/** Ledgers asked for at the same time. */
const CONCURRENT = 8;

/** Looks at everything, or at one customer. */
export async function viewMesh(session: Session, customerId: string | undefined): Promise<CustomerView[]> {
  const filter = defined({ customerId });
  const [customers, machines, sensors, readings, alarms] = await Promise.all([
    session.customers(),
    session.machines(filter),
    session.sensors(filter),
    session.latest(filter),
    session.alarms(filter),
  ]);
  const hubs = machines.filter(({ role }) => role === Role.HUB);
  const logs = await ledgersOf(session, hubs);
  const latest = new Map(readings.map((reading) => [`${reading.machineId}/${reading.sensor}`, reading]));
  const views = hubs.map((hub) => ({
    hub,
    sensors: sensors
      .filter(({ machineId }) => machineId === hub.id)
      .map((sensor) => ({ sensor, latest: latest.get(sensor.id) })),
    logs: logs.get(hub.id) ?? [],
  }));
  return customers
    .filter(({ id }) => customerId === undefined || id === customerId)
    .map((customer) => ({
      ...arrange(customer, machines, views),
      openAlarms: alarms.filter((alarm) => alarm.customerId === customer.id).length,
    }));
}

async function ledgersOf(session: Session, hubs: readonly Machine[]): Promise<Map<string, LogLedger[]>> {
  const found = new Map<string, LogLedger[]>();
  const queue = [...hubs];
  const worker = async () => {
    for (let hub = queue.pop(); hub; hub = queue.pop()) {
      const logs = await session.ledger(hub.id);
      found.set(
        hub.id,
        logs.filter(({ lost, expired }) => lost.length + expired.length > 0),
      );
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, worker));
  return found;
}

/** An embedded hub stands under its connector, whatever happens; the others where their data goes now. */
function arrange(
  customer: Customer,
  machines: readonly Machine[],
  views: readonly HubView[],
): Omit<CustomerView, 'openAlarms'> {
  const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name);
  const own = views.filter(({ hub }) => hub.customerId === customer.id).sort((a, b) => byName(a.hub, b.hub));
  const connectors = machines
    .filter(({ role, customerId }) => role === Role.CONNECTOR && customerId === customer.id)
    .sort(byName)
    .map((connector) => ({ connector, hubs: own.filter(({ hub }) => carrierOf(hub) === connector.id) }));
  const carried = new Set(connectors.flatMap(({ hubs }) => hubs));
  const others = own.filter((view) => !carried.has(view));
  const goesDirect = ({ hub }: HubView) => hub.state === MachineState.ONLINE && hub.path === Path.DIRECT;
  return {
    customer,
    connectors,
    direct: others.filter(goesDirect),
    apart: others.filter((view) => !goesDirect(view)),
  };
}

const carrierOf = (hub: Machine): string => hub.companionId || (hub.path === Path.CONNECTOR ? hub.connectorId : '');
