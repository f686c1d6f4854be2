// Which programs a sensor may run: a regular file below a locally allowed directory that only root (or the hub's own
// user) could have put there. The configuration comes from the cloud, and a stolen administrator token must not be
// able to turn it into "run what some user dropped into /tmp".
import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, resolve } from 'node:path';
import { describe } from '../kernel/fault.js';
import { isBelow, realPath } from './allowed-path.js';
import { SensorFault } from './fault.js';

const GROUP_OR_OTHERS_WRITE = 0o022;
const STICKY = 0o1000;
/**
 * Plugins that are a way to something else. Those whose purpose is to run another command: with them, any program could
 * be run through an allowed one. And check_log, which shows lines of any file and copies it to any other: the keys of a
 * hub that does not run as root belong to the user as whom plugins run.
 */
const WAYS_AROUND: ReadonlyMap<string, string> = new Map([
  ['negate', 'runs other programs'],
  ['urlize', 'runs other programs'],
  ['check_by_ssh', 'runs other programs'],
  ['check_log', 'reads and writes any file'],
]);

const refuse = (why: string) =>
  new SensorFault('sensor.refused', why, {
    permanent: true,
    advice: 'Let only root write to the plugin directories and to what is in them.',
  });

/** The real file and the real allowed directory around it. */
async function locate(program: string, directories: readonly string[]): Promise<{ file: string; directory: string }> {
  let found = false;
  for (const allowed of directories) {
    const directory = await realPath(allowed);
    if (directory === undefined) continue;
    const file = await realPath(isAbsolute(program) ? program : resolve(directory, program));
    if (file === undefined) continue;
    found = true;
    if (isBelow(file, directory)) return { file, directory };
  }
  throw refuse(
    `${program} is ${found ? 'not below' : 'not found in'} the directories that are allowed on this machine (its --exec-directory)`,
  );
}

function checkWriters(path: string, stats: Stats, ownUid: number, stickyIsFine: boolean): void {
  // A hub that is not root may trust its own user: whoever has that user has the hub.
  if (stats.uid !== 0 && stats.uid !== ownUid) throw refuse(`${path} belongs to an ordinary user`);
  const shared = (stats.mode & GROUP_OR_OTHERS_WRITE) !== 0;
  if (shared && !(stickyIsFine && (stats.mode & STICKY) !== 0)) throw refuse(`${path} can be written by others`);
}

/**
 * The real path of a program that may be run. Throws `sensor.refused`, with the reason. Checked before each run; since
 * no ordinary user can write to any part of the path, it cannot change between the check and the run.
 */
export async function trustedFile(program: string, directories: readonly string[], ownUid: number): Promise<string> {
  if (directories.length === 0) throw refuse('no directory is allowed on this machine (its --exec-directory)');
  const { file, directory } = await locate(program, directories);
  const why = WAYS_AROUND.get(basename(file)) ?? WAYS_AROUND.get(basename(program));
  if (why !== undefined) throw refuse(`${basename(program)} ${why}`);
  try {
    const stats = await lstat(file);
    if (!stats.isFile()) throw refuse(`${program} is not a file`);
    checkWriters(file, stats, ownUid, false);
    let at = file;
    while (dirname(at) !== at) {
      at = dirname(at);
      // Above the allowed directory, a directory like /tmp is fine: nobody can replace there what is not theirs.
      checkWriters(at, await lstat(at), ownUid, !isBelow(at, directory) && at !== directory);
    }
  } catch (thrown) {
    throw thrown instanceof SensorFault ? thrown : refuse(`${program} cannot be checked: ${describe(thrown)}`);
  }
  return file;
}
