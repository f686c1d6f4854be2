// The machine on which a service is installed: its files, below a root that may be another one (an image that is being
// made), and its commands, which are run on the machine itself only.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defined } from '../../kernel/defined.js';
import { undefinedIfMissing } from '../../kernel/system-error.js';
import { CliFault } from '../fault.js';

export interface Host {
  /** Where a path of the machine is. */
  at(path: string): string;
  /** Whether it runs: then commands can be run on it. */
  readonly live: boolean;
  /** Its standard output. Faults: cli.failed with what the command says. */
  run(command: string, args: readonly string[]): Promise<string>;
}

/** A command of the system gets this long. */
const PATIENCE_MS = 60_000;

export const thisMachine: Host = {
  at: (path) => path,
  live: true,
  run: (command, args) =>
    new Promise((resolve, reject) => {
      execFile(command, [...args], { timeout: PATIENCE_MS, maxBuffer: 1024 ** 2 }, (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        const why = stderr.trim().split('\n').at(-1) || error.message;
        reject(new CliFault('cli.failed', `${command} ${args.join(' ')}: ${why}`, { cause: error }));
      });
    }),
};

/** A folder that will be the root of a machine. */
export const rootedAt = (root: string): Host => ({
  at: (path) => join(root, path),
  live: false,
  run: (command) => Promise.reject(new CliFault('cli.failed', `${command} is not run for another root`)),
});

/** A file's text; undefined when there is none. */
export const textAt = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(undefinedIfMissing);

/** Those of the groups that the machine has. */
export async function groupsOf(host: Host, wanted: readonly string[]): Promise<string[]> {
  const known = new Set(((await textAt(host.at('/etc/group'))) ?? '').split('\n').map((line) => line.split(':')[0]));
  return wanted.filter((name) => known.has(name));
}

/** Faults: cli.refused where systemd does not run the machine, or somebody else than root asks. */
export async function requireSystemd(host: Host, uid: number | undefined): Promise<void> {
  if (!host.live) return;
  if (!existsSync(host.at('/run/systemd/system'))) {
    throw new CliFault('cli.refused', 'this machine is not run by systemd', {
      advice:
        'Have its service manager run "occ hub --data DIR" as a user of its own; --dry-run shows the unit as a model.',
    });
  }
  if (uid !== 0) {
    throw new CliFault('cli.refused', 'only root can install and remove services', {
      ...defined({ advice: 'Run it with sudo, or look at what it would do with --dry-run.' }),
    });
  }
}
