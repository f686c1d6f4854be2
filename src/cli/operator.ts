// The frame of every operator's command: --json and --client, a connection, one answer, printed one way or the other.
import type { Command } from 'commander';
import type {
  Alarm,
  Customer,
  GetLatestRequest,
  ListAlarmsRequest,
  ListMachinesRequest,
  ListSensorsRequest,
  LogLedger,
  Machine,
  MeshClient,
  Reading,
  Sensor,
  Sparse,
} from '../client/index.js';
import { every, MachineState, Role } from '../client/index.js';
import { printable } from '../kernel/text.js';
import { openClient } from './client-file.js';
import { flagReader } from './config/settings.js';
import { CliFault } from './fault.js';
import { namedCustomer, namedMachine, namedSensor, namesOf, pick } from './names.js';
import { coloured, type Paint, plain } from './output/colour.js';
import { type Terminal, wantsColour } from './terminal.js';
import { path } from './values.js';

/** What a command has to say: to programs, and to people. */
export interface Answer {
  readonly json: unknown;
  /** Ends with a line end, or is empty. */
  readonly text: (paint: Paint) => string;
  /** For people only, on standard error. */
  readonly note?: string;
}

/** What a command works with. */
export class Session {
  constructor(
    readonly client: MeshClient,
    readonly terminal: Terminal,
    readonly json: boolean,
  ) {}

  get paint(): Paint {
    return wantsColour(this.terminal) ? coloured : plain;
  }

  customers(): Promise<Customer[]> {
    return collect(every(this.client.customers.listCustomers, 'customers', {}));
  }

  machines(filter: Sparse<ListMachinesRequest> = {}): Promise<Machine[]> {
    return collect(every(this.client.machines.listMachines, 'machines', filter));
  }

  sensors(filter: Sparse<ListSensorsRequest> = {}): Promise<Sensor[]> {
    return collect(every(this.client.sensors.listSensors, 'sensors', filter));
  }

  latest(filter: Sparse<GetLatestRequest>): Promise<Reading[]> {
    return collect(every(this.client.readings.getLatest, 'readings', filter));
  }

  alarms(filter: Sparse<ListAlarmsRequest>): Promise<Alarm[]> {
    return collect(every(this.client.alarms.listAlarms, 'alarms', filter));
  }

  ledger(machineId: string): Promise<LogLedger[]> {
    return collect(every(this.client.readings.getLedger, 'logs', { machineId }));
  }

  /** The customer that was named; without a name the only one there is. Faults: cli.not-found, cli.ambiguous. */
  async customer(wanted: string | undefined): Promise<Customer> {
    const customers = (await this.customers()).map(namedCustomer);
    const [only, another] = customers;
    if (wanted !== undefined) return pick('customer', wanted, customers);
    if (only !== undefined && another === undefined) return only;
    throw new CliFault('cli.usage', 'it is not clear which customer is meant', {
      advice:
        only === undefined
          ? 'There is none yet: "occ customers create NAME" makes one.'
          : `Say --customer: ${customers.map(({ name }) => name).join(', ')}.`,
    });
  }

  /** The id for a filter; undefined when nobody was named. */
  async customerId(wanted: string | undefined): Promise<string | undefined> {
    return wanted === undefined ? undefined : (await this.customer(wanted)).id;
  }

  /** Living machines win over retired ones of the same name. Faults: cli.not-found, cli.ambiguous. */
  machine(wanted: string, { retired = false } = {}): Promise<Machine> {
    return this.#machine('machine', wanted, retired, () => true);
  }

  /** The same where only a hub can be meant: a connector of the same name does not count. */
  hub(wanted: string, { retired = false } = {}): Promise<Machine> {
    return this.#machine('hub', wanted, retired, ({ role }) => role === Role.HUB);
  }

  async #machine(
    what: string,
    wanted: string,
    retired: boolean,
    counts: (machine: Machine) => boolean,
  ): Promise<Machine> {
    const [customers, machines] = await Promise.all([this.customers(), this.machines({ includeRetired: retired })]);
    const names = namesOf({ customers });
    const all = machines.filter(counts).map((machine) => namedMachine(machine, names));
    const living = all.filter(({ state }) => state !== MachineState.RETIRED);
    try {
      return pick(what, wanted, living);
    } catch (thrown) {
      const gone = retired && thrown instanceof CliFault && thrown.code === 'cli.not-found';
      if (!gone) throw thrown;
      return pick(what, wanted, all);
    }
  }

  /** Faults: cli.not-found, cli.ambiguous. */
  async sensor(wanted: string): Promise<Sensor> {
    const [customers, machines, sensors] = await Promise.all([this.customers(), this.machines(), this.sensors()]);
    const names = namesOf({ customers });
    const byId = new Map(machines.map((machine) => [machine.id, machine]));
    return pick(
      'sensor',
      wanted,
      sensors.map((sensor) => namedSensor(sensor, byId.get(sensor.machineId), names)),
    );
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export type OperatorAction = (session: Session) => Promise<Answer | undefined>;

/** Runs an operator's command. `undefined` as an answer: the command has written by itself. */
export async function operate(command: Command, terminal: Terminal, action: OperatorAction): Promise<void> {
  const { client: file, json = false } = command.opts<{ client?: string; json?: boolean }>();
  await using client = await openClient(file, terminal);
  const session = new Session(client, terminal, json);
  const answer = await action(session);
  if (answer === undefined) return;
  if (json) terminal.stdout.write(`${JSON.stringify(answer.json, undefined, 2)}\n`);
  else terminal.stdout.write(answer.text(session.paint));
  if (!json && answer.note !== undefined) terminal.stderr.write(`${printable(answer.note)}\n`);
}

/** Adds the flags that every operator's command has. */
export function operatorFlags(command: Command, terminal: Terminal): Command {
  return command.option('--json', 'print JSON instead of text').option(
    '--client <file>',
    'which cloud, and with which API token: its client.yaml (default: OCC_CLIENT, then ~/.config/occ/client.yaml)',
    flagReader((text) => path(text, terminal.cwd)),
  );
}
