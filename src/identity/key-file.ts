// Files that must survive power loss, and files that nobody else may read.
// Order of a durable write: temporary file beside the target, its bytes and mode, fsync, rename, fsync of the folder.
// So the target is at every moment either the old file or the new one, whole.
import { constants } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Random, systemRandom } from '../kernel/random.js';
import { IdentityFault } from './fault.js';

/** What the protection of secret files does not cover on this platform; undefined when nothing is missing. */
export function uncheckedProtection(platform: NodeJS.Platform = process.platform): string | undefined {
  if (platform !== 'win32') return undefined;
  return 'On Windows the access list of secret files is neither set nor checked: keep the data directory where only administrators and the service account can read it.';
}

/** Replaces `path` with `data`. The folder must exist. Faults: identity.file-unusable; then the old file is untouched. */
export async function writeFileDurably(
  path: string,
  data: Uint8Array | string,
  mode: number,
  random: Random = systemRandom,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${random.bytes(6).toString('hex')}.tmp`);
  try {
    try {
      // Exclusive: never through a link that somebody else laid out.
      const file = await open(temporary, 'wx', mode);
      try {
        await file.chmod(mode); // open() is subject to the umask.
        await file.writeFile(data);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (thrown) {
      await unlink(temporary).catch(() => undefined);
      throw thrown;
    }
    await syncFolder(dirname(path));
  } catch (cause) {
    throw new IdentityFault('identity.file-unusable', `cannot write ${path}`, { cause });
  }
}

/** Makes renames and new names in a folder survive power loss. Windows cannot do that for folders, and journals them. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Writes a file with mode 0600. Faults: identity.file-unusable. */
export function writeSecretFile(path: string, data: Uint8Array | string, random?: Random): Promise<void> {
  return writeFileDurably(path, data, 0o600, random);
}

/**
 * Reads a file that must be private to its owner. The caller wipes the Buffer after use where it can.
 * Faults: identity.file-exposed (others may read or write it; not checked on Windows), identity.file-unusable.
 */
export async function readSecretFile(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const { mode } = await file.stat(); // Of the open file: what is checked is what is read.
      if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
        throw new IdentityFault(
          'identity.file-exposed',
          `${path} holds a secret, but its mode is ${(mode & 0o777).toString(8).padStart(4, '0')}`,
          { permanent: true, advice: `Run chmod 600 ${path}, and replace the secret if others could have read it.` },
        );
      }
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof IdentityFault) throw cause;
    throw new IdentityFault('identity.file-unusable', `cannot read ${path}`, { cause });
  }
}

/** True when reading failed because there is no such file. */
export function isMissing(thrown: unknown): boolean {
  const cause = thrown instanceof IdentityFault ? thrown.cause : thrown;
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}
