// Installing and removing as a list of steps: each knows whether it is done already, so that a second run does nothing,
// and can be told instead of done.
import { existsSync } from 'node:fs';
import { chmod, lchown, lstat, mkdir, readdir, readlink, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeFileDurably } from '../../kernel/durable-file.js';
import { systemCode } from '../../kernel/system-error.js';
import { type Host, textAt } from './host.js';

export interface Step {
  /** In the imperative: `write /etc/…`. */
  readonly what: string;
  /** Shown below it when it is only told. */
  readonly detail?: string;
  /** Given whether a step before has changed something. */
  readonly isDone: (changed: boolean) => Promise<boolean>;
  readonly apply: () => Promise<void>;
}

export interface Told {
  readonly step: string;
  readonly outcome: 'done' | 'as it was' | 'would be done';
  readonly detail?: string;
}

/** One after the other. The first failure ends it; running it again goes on from there. */
export async function follow(steps: readonly Step[], dryRun: boolean): Promise<Told[]> {
  const told: Told[] = [];
  let changed = false;
  for (const { what, detail, isDone, apply } of steps) {
    if (await isDone(changed)) {
      told.push({ step: what, outcome: 'as it was' });
      continue;
    }
    changed = true;
    if (!dryRun) await apply();
    told.push({ step: what, outcome: dryRun ? 'would be done' : 'done', ...(dryRun && detail ? { detail } : {}) });
  }
  return told;
}

/** Makes the directories above a path, for all to pass: this program's own umask is stricter. */
async function openWay(path: string): Promise<void> {
  const above = dirname(path);
  if (above === path || existsSync(above)) return;
  await openWay(above);
  await mkdir(above);
  await chmod(above, 0o755);
}

/** A file with this text, readable by all. */
export function writeFile(host: Host, path: string, text: string): Step {
  return {
    what: `write ${path}`,
    detail: text,
    isDone: async () => (await textAt(host.at(path))) === text,
    apply: async () => {
      await openWay(host.at(path));
      await writeFileDurably(host.at(path), text, 0o644);
    },
  };
}

export function removeFile(host: Host, path: string): Step {
  return {
    what: `remove ${path}`,
    isDone: async () =>
      !(await lstat(host.at(path)).then(
        () => true,
        () => false,
      )),
    apply: () => rm(host.at(path), { force: true }),
  };
}

export function removeTree(host: Host, path: string): Step {
  return {
    what: `remove ${path} and everything in it`,
    isDone: async () => !existsSync(host.at(path)),
    apply: () => rm(host.at(path), { recursive: true, force: true }),
  };
}

export function link(host: Host, path: string, target: string): Step {
  return {
    what: `link ${path} to ${target}`,
    isDone: async () => (await readlink(host.at(path)).catch(() => undefined)) === target,
    apply: async () => {
      await openWay(host.at(path));
      await rm(host.at(path), { force: true });
      await symlink(target, host.at(path));
    },
  };
}

/** A directory for one user alone; whose it is, where that is known. */
export function ownDirectory(host: Host, path: string, owner: () => Promise<Owner | undefined>): Step {
  return {
    what: `make ${path}, for the service's user alone`,
    isDone: async () => {
      const found = await stat(host.at(path)).catch((thrown) => {
        if (systemCode(thrown) !== 'ENOENT') throw thrown;
        return undefined;
      });
      if (!found?.isDirectory() || (found.mode & 0o077) !== 0) return false;
      const wanted = await owner();
      return wanted === undefined || isOf(wanted, found);
    },
    apply: async () => {
      await openWay(host.at(path));
      await mkdir(host.at(path), { recursive: true });
      await chmod(host.at(path), 0o700);
      const wanted = await owner();
      // What is the user's already may have anything in it, and may change while it is looked at.
      if (wanted && !isOf(wanted, await lstat(host.at(path)))) await giveTo(wanted, host.at(path));
    },
  };
}

/**
 * Whoever enrolled by hand has left files of root there. The directory itself last: it says whether all of it is done. No
 * link is followed, which is why readdir does not go down by itself.
 */
async function giveTo(owner: Owner, directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await giveTo(owner, path);
    else await lchown(path, owner.uid, owner.gid);
  }
  await lchown(directory, owner.uid, owner.gid);
}

const isOf = ({ uid, gid }: Owner, found: Owner): boolean => found.uid === uid && found.gid === gid;

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** A command of the system, on a machine that runs. */
export function command(
  host: Host,
  args: readonly [string, ...string[]],
  isDone: (changed: boolean) => Promise<boolean>,
): Step[] {
  if (!host.live) return [];
  const [program, ...rest] = args;
  return [
    {
      what: `run ${args.join(' ')}`,
      isDone,
      apply: async () => {
        await host.run(program, rest);
      },
    },
  ];
}
