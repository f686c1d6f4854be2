// The data directory of a role, before anything is read from it: there, writable, and nobody else's.
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from '../kernel/fault.js';
import { makePrivateDirectory } from '../kernel/private-directory.js';
import type { Scope } from '../kernel/scope.js';
import { makeDirectory, newLevel, openFault } from '../storage/level-open.js';
import { CliFault } from './fault.js';

/** Makes it when it is missing, readable by its owner only. Faults: cli.data. */
export async function openDataDirectory(directory: string): Promise<void> {
  try {
    await makePrivateDirectory(directory);
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new CliFault('cli.data', `the data directory ${directory} cannot be used: ${describe(cause)}`, {
      cause,
      advice: 'Check that it is a directory that belongs to the user of this service, or name another with --data.',
    });
  }
}

/**
 * Keeps it for this process as long as the scope lives, for a role whose store is not the first thing that it opens. It
 * is a lock of LevelDB, the one way in Node to have a lock that ends with its process. Faults: storage.in-use.
 */
export async function holdDataDirectory(directory: string, scope: Scope): Promise<void> {
  const path = join(directory, 'lock');
  await makeDirectory(path);
  const lock = newLevel({ directory: path });
  try {
    await lock.open();
  } catch (thrown) {
    throw openFault(path, thrown);
  }
  scope.defer(() => lock.close());
}
