// `occ service …`: a role as a service of systemd.
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import { defined } from '../../kernel/defined.js';
import { flagReader } from '../config/settings.js';
import { usage } from '../fault.js';
import { oneLine } from '../output/text.js';
import { defaultDataDirectory, type RoleName } from '../places.js';
import { requireSystemd, rootedAt, thisMachine } from '../service/host.js';
import { installSteps, removeSteps } from '../service/install.js';
import { follow, type Step, type Told } from '../service/steps.js';
import type { Terminal } from '../terminal.js';
import { BadValue, oneOf, path } from '../values.js';

const ROLE = oneOf('hub', 'connector', 'cloud');
const PROGRAM = fileURLToPath(new URL('../main.js', import.meta.url));

interface Common {
  readonly data?: string;
  readonly user: string;
  readonly root?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addService(program: Command, terminal: Terminal): void {
  const group = program.command('service').description('Run a role as a service of this machine (systemd)');
  addInstall(group, terminal);
  addRemove(group, terminal);
}

function common(command: Command, terminal: Terminal): Command {
  const place = flagReader((text: string) => path(text, terminal.cwd));
  return command
    .argument(
      '<role>',
      'hub, connector or cloud',
      flagReader((text) => ROLE(text, '')),
    )
    .option('--data <dir>', 'its data directory (default /var/lib/occ/ROLE)', place)
    .addOption(new Option('--user <name>', 'whom it runs as').argParser(flagReader(userName)).default('occ'))
    .option('--root <dir>', 'instead of this machine, one whose files are there, such as an image', place)
    .option('--dry-run', 'only tell what would be done')
    .option('--json', 'print JSON instead of text');
}

function addInstall(group: Command, terminal: Terminal): void {
  const place = flagReader((text: string) => path(text, terminal.cwd));
  const install = common(group.command('install'), terminal)
    .description(
      'Make the user, the data directory and the unit, and start it; a second time changes only what differs',
    )
    .option('--config <file>', "the role's configuration file", place)
    .option('--token-file <file>', 'enrolment token, copied into the data directory', place)
    .option('--no-start', 'do not start it now');
  type Options = Common & { readonly config?: string; readonly tokenFile?: string; readonly start: boolean };
  install.action(async (role: RoleName, options: Options) => {
    const { user, config, tokenFile, start } = options;
    const data = dataOf(role, options, terminal);
    const wanted = { role, program: [process.execPath, PROGRAM], user, data, start, ...defined({ config, tokenFile }) };
    await carryOut(options, terminal, (host) => installSteps(wanted, host));
  });
}

function addRemove(group: Command, terminal: Terminal): void {
  const remove = common(group.command('remove'), terminal)
    .description('Stop it, and take back what install has made; data stays')
    .option('--purge', 'its data, too: readings not delivered, keys and membership; and its user after the last role');
  remove.action(async (role: RoleName, options: Common & { readonly purge?: boolean }) => {
    const { user, purge = false } = options;
    await carryOut(options, terminal, (host) =>
      removeSteps({ role, user, data: dataOf(role, options, terminal), purge }, host),
    );
  });
}

async function carryOut(
  { root, dryRun = false, json = false }: Common,
  terminal: Terminal,
  plan: (host: typeof thisMachine) => Promise<Step[]>,
): Promise<void> {
  const host = root === undefined ? thisMachine : rootedAt(root);
  if (!dryRun) await requireSystemd(host, process.getuid?.());
  const told = await follow(await plan(host), dryRun);
  terminal.stdout.write(json ? `${JSON.stringify(told, undefined, 2)}\n` : told.map(show).join(''));
}

const WORDS: { readonly [O in Told['outcome']]: string } = {
  done: 'done',
  'as it was': 'as it was',
  'would be done': 'would',
};

function show({ step, outcome, detail }: Told): string {
  const lines =
    detail
      ?.trimEnd()
      .split('\n')
      .map((line) => `             | ${line}`.trimEnd()) ?? [];
  return [`${WORDS[outcome].padEnd(11)}${oneLine(step)}`, ...lines, ''].join('\n');
}

/** Below it everything is removed by --purge. */
function dataOf(role: RoleName, { data = undefined }: Common, terminal: Terminal): string {
  const directory = data ?? defaultDataDirectory(role, terminal);
  if (!isAbsolute(directory) || directory.split('/').filter((part) => part !== '').length < 2) {
    throw usage(
      `${directory} cannot be a data directory`,
      'Name one that is not at the root, such as /var/lib/occ/hub.',
    );
  }
  return directory;
}

/** As useradd takes it. */
function userName(text: string): string {
  if (!/^[a-z_][a-z0-9_-]{0,30}$/.test(text) || text === 'root') {
    throw new BadValue('a user for a service has a name of lower-case letters, digits, _ and -, and is not root');
  }
  return text;
}
