// `occ cloud backup`, `restore`, `repair` and `compact`: a copy of a running cloud, and what is done to a stopped one.
import type { Command } from 'commander';
import { type Repaired, type Restored, repair, restore } from '../../cloud/backup/restore.js';
import { compact } from '../../cloud/compact.js';
import { defined } from '../../kernel/defined.js';
import { seconds } from '../../kernel/duration.js';
import type { Logger } from '../../kernel/log.js';
import { roleLog } from '../config/role-config.js';
import { flagReader } from '../config/settings.js';
import { operate, operatorFlags } from '../operator.js';
import type { Terminal } from '../terminal.js';
import { path } from '../values.js';

interface Progress {
  readonly entries: number;
  readonly bytes: number;
}

const TELL_EVERY = seconds(1);

export function addCloudBackup(cloud: Command, terminal: Terminal): void {
  addBackup(cloud, terminal);
  addRestore(cloud, terminal);
  addRepair(cloud, terminal);
  addCompact(cloud, terminal);
}

function addBackup(cloud: Command, terminal: Terminal): void {
  const backup = operatorFlags(cloud.command('backup'), terminal)
    .description('Copy the running cloud into a new folder of its backup directory, on its own disk')
    .option('--name <name>', 'name of the folder (default: the time)');
  backup.action(({ name }: { name?: string }) =>
    operate(backup, terminal, async ({ client }) => {
      const tell = progressOn(terminal);
      let done = { entries: 0, bytes: 0, path: '' };
      const request = defined({ name });
      for await (const { entries, bytes, path } of client.operations.createBackup(request)) {
        done = { entries, bytes, path };
        if (path === '') tell(done);
      }
      return {
        json: done,
        text: () => `${done.path}\n`,
        note: `${done.entries} entries, ${mebibytes(done.bytes)}. Whoever has this folder is this cloud: keep it safe.`,
      };
    }),
  );
}

interface RestoreFlags {
  readonly from: string;
  readonly data: string;
  readonly json?: boolean;
}

function addRestore(cloud: Command, terminal: Terminal): void {
  const command = cloud
    .command('restore')
    .description('Put a backup into the data directory of a stopped cloud; what was there is set aside')
    .requiredOption('--from <dir>', 'the folder that "occ cloud backup" has made', pathFlag(terminal))
    .requiredOption('--data <dir>', 'data directory of the cloud', pathFlag(terminal))
    .option('--json', 'print JSON instead of text');
  command.action(async ({ from, data, json = false }: RestoreFlags) => {
    const modules = { clock: terminal.clock, log: await quietLog(terminal) };
    const done = await restore({ from, directory: data }, modules, progressOn(terminal));
    say(terminal, json, restoredText(done), { ...done.manifest, setAside: done.setAside ?? null });
  });
}

interface RepairFlags {
  readonly data: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

function addRepair(cloud: Command, terminal: Terminal): void {
  const command = cloud
    .command('repair')
    .description('Without a backup: go on with what is good of a damaged store; the damaged one is set aside')
    .requiredOption('--data <dir>', 'data directory of the cloud', pathFlag(terminal))
    .option('--force', 'also a store in which no damage is found')
    .option('--json', 'print JSON instead of text');
  command.action(async ({ data, force = false, json = false }: RepairFlags) => {
    const modules = { clock: terminal.clock, log: await quietLog(terminal) };
    const done = await repair({ directory: data, force }, modules, progressOn(terminal));
    say(terminal, json, repairedText(done), { ...done, setAside: done.setAside ?? null });
  });
}

function addCompact(cloud: Command, terminal: Terminal): void {
  const command = cloud
    .command('compact')
    .description('Make the store of a stopped cloud as small as it gets: all stored readings are merged')
    .requiredOption('--data <dir>', 'data directory of the cloud', pathFlag(terminal))
    .option('--json', 'print JSON instead of text');
  command.action(async ({ data, json = false }: { readonly data: string; readonly json?: boolean }) => {
    const done = await compact(data, { clock: terminal.clock, log: await quietLog(terminal) });
    const text = `The store took ${mebibytes(done.before)} and takes ${mebibytes(done.after)} now.\n`;
    say(terminal, json, text, done);
  });
}

const restoredText = ({ manifest, setAside }: Restored): string =>
  `Restored ${manifest.entries} entries of ${manifest.takenAt}.${asideText(setAside)} ` +
  'Start the cloud: hubs send again what it does not hold.\n';

const repairedText = ({ entries, damaged, setAside }: Repaired): string =>
  `${entries} entries are good, ${damaged} are not.${asideText(setAside)} Start the cloud: hubs send again what is ` +
  'missing of their readings. Look whether customers, machines and sensors are complete.\n';

const asideText = (where: string | undefined): string =>
  where === undefined ? '' : ` What was there before is in ${where}.`;

function say(terminal: Terminal, json: boolean, text: string, content: unknown): void {
  terminal.stdout.write(json ? `${JSON.stringify(content, undefined, 2)}\n` : text);
}

/** Tells people how far it is, about once a second; a short copy says nothing. */
function progressOn(terminal: Terminal): (progress: Progress) => void {
  const { clock, stderr } = terminal;
  let told = clock.monotonic();
  return ({ entries, bytes }) => {
    if (clock.monotonic() - told < TELL_EVERY) return;
    told = clock.monotonic();
    stderr.write(`${entries} entries, ${mebibytes(bytes)}\n`);
  };
}

const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

/** The command's own words say what happened; the log only what is wrong besides. */
const quietLog = (terminal: Terminal): Promise<Logger> => roleLog('cloud', { logLevel: 'error' }, terminal);

const pathFlag = (terminal: Terminal) => flagReader((text) => path(text, terminal.cwd));
