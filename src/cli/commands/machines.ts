// `occ machines …`: connectors and hubs, how they are and how their data comes.
import type { Command } from 'commander';
import { type Machine, type MachineState, Role } from '../../client/index.js';
import { defined } from '../../kernel/defined.js';
import { choice, MACHINE_STATES, ROLES, wordsOf } from '../choices.js';
import { flagReader, flagsReader } from '../config/settings.js';
import { CliFault } from '../fault.js';
import { type Names, namesOf } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import type { Paint } from '../output/colour.js';
import { plainMachine } from '../output/plain.js';
import { table } from '../output/table.js';
import { oneLine } from '../output/text.js';
import { ago, span } from '../output/times.js';
import { conditionOf, machineTone, many, roleWord, routeOf } from '../output/words.js';
import type { Terminal } from '../terminal.js';

export function addMachines(program: Command, terminal: Terminal): void {
  const group = program.command('machines').description('Connectors and hubs');
  addList(group, terminal);

  const rename = operatorFlags(group.command('rename <machine> <name>').description('Give another name'), terminal);
  rename.action((wanted: string, name: string) =>
    change(rename, terminal, wanted, async (session, machine) => {
      await requireUnused(name, machine, session);
      return await session.client.machines.updateMachine({ id: machine.id, name });
    }),
  );

  const retire = operatorFlags(group.command('retire <machine>'), terminal)
    .description('End a membership for good: the key is revoked, history stays')
    .option('--yes', 'do not ask');
  retire.action((wanted: string, { yes = false }: { yes?: boolean }) =>
    change(retire, terminal, wanted, async ({ client }, machine) => {
      if (!yes) await confirmRetirement(machine, terminal);
      return await client.machines.retireMachine({ id: machine.id });
    }),
  );

  const release = operatorFlags(group.command('release <machine>'), terminal);
  release.description('End a quarantine, once the clone has been dealt with');
  release.action((wanted: string) =>
    change(release, terminal, wanted, ({ client }, { id }) => client.machines.releaseMachine({ id })),
  );

  for (const maySleep of [true, false]) {
    const sleep = operatorFlags(group.command(`${maySleep ? 'may-sleep' : 'always-on'} <machine>`), terminal);
    sleep.description(maySleep ? 'That it is gone is no alarm, as with a laptop' : 'That it is gone is an alarm');
    sleep.action((wanted: string) =>
      change(sleep, terminal, wanted, ({ client }, { id }) => client.machines.updateMachine({ id, maySleep })),
    );
  }

  const rotate = operatorFlags(group.command('rotate-key <hub>'), terminal);
  rotate.description('Have a hub replace the key that its secrets are sealed to; it seals them anew');
  rotate.action((wanted: string) =>
    changeOf(
      rotate,
      terminal,
      (session) => session.hub(wanted),
      ({ client }, { id }) => client.machines.rotateSealingKey({ id }),
    ),
  );

  for (const allowed of [true, false]) {
    const direct = operatorFlags(group.command(`${allowed ? 'allow' : 'deny'}-direct <machine>`), terminal);
    direct.description(
      `${allowed ? 'Let' : 'Do not let'} a hub use the internet itself, whatever holds for the customer`,
    );
    direct.action((wanted: string) =>
      changeOf(
        direct,
        terminal,
        (session) => session.hub(wanted),
        ({ client }, { id }) => client.machines.updateMachine({ id, directAllowed: allowed }),
      ),
    );
  }
}

interface ListOptions {
  readonly customer?: string;
  readonly retired?: boolean;
  readonly state?: readonly MachineState[];
  readonly role?: Role;
  readonly nameContains?: string;
}

const NO_MACHINE = 'There is no machine yet. Make a token for the first: occ tokens create --role connector';

function addList(group: Command, terminal: Terminal): void {
  const list = operatorFlags(group.command('list'), terminal)
    .description('Machines with their state and path')
    .option('--customer <customer>', 'only of this customer')
    .option('--retired', 'retired ones, too')
    .option(
      '--state <state>',
      `only those that are in this state now (repeatable): ${wordsOf(MACHINE_STATES)}`,
      flagsReader(choice(MACHINE_STATES)),
    )
    .option('--role <role>', `only of this role: ${wordsOf(ROLES)}`, flagReader(choice(ROLES)))
    .option('--name-contains <text>', 'only those whose name has this in it, in upper or lower case');
  list.action(({ customer: wanted, retired: includeRetired = false, state, role, nameContains }: ListOptions) =>
    operate(list, terminal, async (session) => {
      const customers = await session.customers();
      const customerId = await session.customerId(wanted);
      const filter = defined({ states: state && [...state], role, nameContains });
      const isFiltered = Object.keys(filter).length > 0;
      const machines = await session.machines({ includeRetired, customerId, ...filter });
      // Connectors that are not listed have names, too.
      const others = isFiltered ? await session.machines({ includeRetired: true, customerId }) : machines;
      const names = namesOf({ customers, machines: others });
      return {
        json: machines.map((machine) => plainMachine(machine, names)),
        text: (paint) => (machines.length === 0 ? '' : show(machines, names, session, paint)),
        ...(machines.length === 0 ? { note: isFiltered ? 'No machine fits.' : NO_MACHINE } : {}),
      };
    }),
  );
}

type Act = (session: Session, machine: Machine) => Promise<Machine>;

const change = (command: Command, terminal: Terminal, wanted: string, act: Act): Promise<void> =>
  changeOf(command, terminal, (session) => session.machine(wanted), act);

function changeOf(
  command: Command,
  terminal: Terminal,
  find: (session: Session) => Promise<Machine>,
  act: Act,
): Promise<void> {
  return operate(command, terminal, async (session) => {
    const changed = await act(session, await find(session));
    const [customers, machines] = await Promise.all([session.customers(), session.machines()]);
    const names = namesOf({ customers, machines });
    return {
      json: plainMachine(changed, names),
      text: (paint) => show([changed], names, session, paint),
    };
  });
}

/** Machines enrol with the names they have; but nobody means to make two alike. Faults: cli.refused. */
async function requireUnused(name: string, { id, role, customerId }: Machine, session: Session): Promise<void> {
  const others = await session.machines({ customerId });
  const isTaken = others.some((other) => other.id !== id && other.role === role && other.name === name);
  if (!isTaken) return;
  throw new CliFault('cli.refused', `there is a ${roleWord(role)} "${oneLine(name)}" of this customer already`, {
    advice: 'Choose another name: of two alike, neither could be named any more.',
  });
}

async function confirmRetirement(machine: Machine, terminal: Terminal): Promise<void> {
  const answer = await terminal.ask(
    `${roleWord(machine.role)} ${oneLine(machine.name)} will be cut off, and what it has not delivered is lost. Type its name to go on: `,
  );
  if (answer?.trim() === machine.name) return;
  throw new CliFault('cli.refused', answer === undefined ? 'nobody is there to be asked' : 'nothing was changed', {
    advice: 'Say --yes to do it without a question.',
  });
}

function show(machines: readonly Machine[], names: Names, { terminal }: Session, paint: Paint): string {
  const now = terminal.clock.now();
  const ordered = [...machines].sort(
    (a, b) =>
      names.customer(a.customerId).localeCompare(names.customer(b.customerId)) ||
      b.role - a.role ||
      a.name.localeCompare(b.name),
  );
  const rows = ordered.map((machine) => [
    { text: machine.name, tone: 'strong' } as const,
    roleWord(machine.role),
    names.customer(machine.customerId),
    { text: conditionOf(machine), tone: machineTone(machine) },
    routeOf(machine, names.machine),
    ago(machine.lastSeenMs, now),
    queued(machine),
    machine.id,
  ]);
  return table(['NAME', 'ROLE', 'CUSTOMER', 'STATE', 'PATH', 'SEEN', 'QUEUED', 'ID'], rows, paint);
}

function queued(machine: Machine): string {
  if (machine.role === Role.CONNECTOR) return many(machine.hubCount, 'hub');
  if (machine.queuedReadings === 0) return '0';
  return `${machine.queuedReadings}, for ${span(machine.queuedAgeMs)}`;
}
