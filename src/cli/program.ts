// The `occ` program: its commands put together, and the way from arguments to an exit code.
import { Command } from 'commander';
import { SOFTWARE } from '../kernel/software.js';
import { addAlarms } from './commands/alarms.js';
import { addAudit } from './commands/audit.js';
import { addChannels } from './commands/channels.js';
import { addCloud } from './commands/cloud.js';
import { addConnector } from './commands/connector.js';
import { addCustomers } from './commands/customers.js';
import { addDoctor } from './commands/doctor.js';
import { addFleet } from './commands/fleet.js';
import { addHub } from './commands/hub.js';
import { addMachines } from './commands/machines.js';
import { addMaintenance } from './commands/maintenance.js';
import { addReadings } from './commands/readings.js';
import { addSecrets } from './commands/secrets.js';
import { addSensors } from './commands/sensors.js';
import { addService } from './commands/service.js';
import { addStatus } from './commands/status.js';
import { addTokens } from './commands/tokens.js';
import { EXIT, EXIT_MEANINGS, type ExitCode } from './exit-codes.js';
import { report, wasCutShort } from './report.js';
import type { Terminal } from './terminal.js';

export function buildProgram(terminal: Terminal): Command {
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

  program.commandsGroup('Roles (one process each):');
  addCloud(program, terminal);
  addConnector(program, terminal);
  addHub(program, terminal);
  program.commandsGroup('For operators (each with --json):');
  addStatus(program, terminal);
  addFleet(program, terminal);
  addCustomers(program, terminal);
  addTokens(program, terminal);
  addMachines(program, terminal);
  addSensors(program, terminal);
  addSecrets(program, terminal);
  addReadings(program, terminal);
  addAlarms(program, terminal);
  addMaintenance(program, terminal);
  addChannels(program, terminal);
  addAudit(program, terminal);
  program.commandsGroup('On a machine:');
  addDoctor(program, terminal);
  addService(program, terminal);
  program.commandsGroup('Other:').helpCommand(true);
  return program;
}

/** Never throws: whatever happens becomes a readable message and an exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    await buildProgram(terminal).parseAsync(args, { from: 'user' });
    return EXIT.OK;
  } catch (thrown) {
    return report(wasCutShort(thrown, terminal) ? terminal.interrupted.reason : thrown, terminal);
  }
}
