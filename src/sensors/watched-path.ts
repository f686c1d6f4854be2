// What sensors of kinds `file` and `log` may look at: files below locally allowed directories. The configuration comes
// from the cloud, and a stolen administrator token must not be able to read the rest of the machine through a hub: not
// by links, not by what differs between a file that is there and one that is not.

import type { FileHandle } from 'node:fs/promises';
import { constants, lstat, open, readlink, realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isBelow, realPath } from './allowed-path.js';
import { SensorFault } from './fault.js';

/** What a machine allows unless its owner says otherwise. */
export const LOG_DIRECTORIES: readonly string[] = ['/var/log'];

const MISSING = new Set(['ENOENT', 'ENOTDIR']);
const isMissing = (thrown: unknown) => MISSING.has((thrown as NodeJS.ErrnoException).code ?? '');

const refuse = (path: string) =>
  new SensorFault(
    'sensor.refused',
    `${path} is not below the directories that may be watched on this machine (its --watch-directory)`,
    {
      permanent: true,
      advice: 'Allow its directory in the configuration of this hub.',
    },
  );

async function isAllowed(real: string, directories: readonly string[]): Promise<boolean> {
  const allowed = await Promise.all(directories.map(realPath));
  return allowed.some((directory) => directory !== undefined && (real === directory || isBelow(real, directory)));
}

/** The real path; undefined when nothing is there. Throws `sensor.refused`, or what the system says. */
export async function watchedPath(path: string, directories: readonly string[]): Promise<string | undefined> {
  const wanted = resolve(path);
  let obstacle: unknown;
  // What is not there is judged by the nearest folder that is.
  for (let at = wanted; ; at = dirname(at)) {
    try {
      const real = await realpath(at);
      if (!(await isAllowed(real, directories))) throw refuse(path);
      if (at === wanted) return real;
      break;
    } catch (thrown) {
      if (thrown instanceof SensorFault) throw thrown;
      if (dirname(at) === at) throw refuse(path);
      obstacle ??= thrown;
    }
  }
  if (isMissing(obstacle)) return undefined;
  throw obstacle;
}

/** A file, opened to be read; undefined when it is not there. Throws like `watchedPath`, also for what is no file. */
export async function openWatched(path: string, directories: readonly string[]): Promise<FileHandle | undefined> {
  const real = await watchedPath(path, directories);
  if (real === undefined) return undefined;
  // Nothing that is opened here may wait (a pipe) or be controlled (a terminal).
  const flags =
    constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
  let handle: FileHandle;
  try {
    handle = await open(real, flags);
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new SensorFault('sensor.unreadable', `${path} is not a file`);
    // Whoever may write there could have put a link into the way since it was looked at: what counts is what was opened.
    if (!(await isAllowed(await openedPath(handle, real), directories))) throw refuse(path);
    return handle;
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
}

async function openedPath(handle: FileHandle, real: string): Promise<string> {
  if (process.platform === 'linux') return await readlink(`/proc/self/fd/${handle.fd}`);
  const [opened, named] = [await handle.stat({ bigint: true }), await lstat(real, { bigint: true })];
  return opened.ino === named.ino && opened.dev === named.dev ? await realpath(real) : '';
}
