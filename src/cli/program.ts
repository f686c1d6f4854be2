// The `occ` program: its commands put together, and the way from arguments to an exit code.
import { Command } from 'commander';
import { SOFTWARE } from '../kernel/software.js';
import { EXIT, EXIT_MEANINGS, type ExitCode } from './exit-codes.js';
import { report, wasCutShort } from './report.js';
import type { Terminal } from './terminal.js';

/** Adds a command and those below it to the program. */
type Add = (program: Command, terminal: Terminal) => void;

interface Group {
  readonly heading: string;
  readonly commands: Readonly<Record<string, () => Promise<Add>>>;
}

/** All commands, in the order in which they are shown. */
const GROUPS: readonly Group[] = [
  {
    heading: 'Roles (one process each):',
    commands: {
      cloud: async () => (await import('./commands/cloud.js')).addCloud,
      connector: async () => (await import('./commands/connector.js')).addConnector,
      hub: async () => (await import('./commands/hub.js')).addHub,
    },
  },
  {
    heading: 'For operators (each with --json):',
    commands: {
      status: async () => (await import('./commands/status.js')).addStatus,
      fleet: async () => (await import('./commands/fleet.js')).addFleet,
      customers: async () => (await import('./commands/customers.js')).addCustomers,
      tokens: async () => (await import('./commands/tokens.js')).addTokens,
      machines: async () => (await import('./commands/machines.js')).addMachines,
      sensors: async () => (await import('./commands/sensors.js')).addSensors,
      secrets: async () => (await import('./commands/secrets.js')).addSecrets,
      readings: async () => (await import('./commands/readings.js')).addReadings,
      alarms: async () => (await import('./commands/alarms.js')).addAlarms,
      maintenance: async () => (await import('./commands/maintenance.js')).addMaintenance,
      channels: async () => (await import('./commands/channels.js')).addChannels,
      audit: async () => (await import('./commands/audit.js')).addAudit,
    },
  },
  {
    heading: 'On a machine:',
    commands: {
      doctor: async () => (await import('./commands/doctor.js')).addDoctor,
      service: async () => (await import('./commands/service.js')).addService,
    },
  },
];

/** The program as it is needed for these arguments: all of it, or the one command that they name. */
export async function buildProgram(terminal: Terminal, args: readonly string[] = []): Promise<Command> {
  const program = new Command('occ')
    .description('An agent mesh for service providers: sensors on hubs, a connector per network, one cloud.')
    .version(SOFTWARE, '--version')
    // Flags belong to the command they follow: `hub` and `hub reset-identity` both have --data.
    .enablePositionalOptions()
    .showHelpAfterError('Add --help for what is possible.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => terminal.stdout.columns ?? 100,
      getErrHelpWidth: () => terminal.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  const codes = EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`).join('\n');
  program.addHelpText('after', `\nExit codes:\n${codes}`);

  // A hub runs for years on somebody else's machine: it is spared the code of every other command.
  const called = GROUPS.flatMap(({ commands }) => Object.keys(commands)).find((name) => name === args[0]);
  for (const { heading, commands } of GROUPS) {
    program.commandsGroup(heading);
    for (const [name, load] of Object.entries(commands)) {
      if (called === undefined || called === name) (await load())(program, terminal);
    }
  }
  program.commandsGroup('Other:').helpCommand(true);
  return program;
}

/** Never throws: whatever happens becomes a readable message and an exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    const program = await buildProgram(terminal, args);
    await program.parseAsync(args, { from: 'user' });
    return EXIT.OK;
  } catch (thrown) {
    return report(wasCutShort(thrown, terminal) ? terminal.interrupted.reason : thrown, terminal);
  }
}
