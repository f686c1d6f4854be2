// Replacing a small file so that, whatever happens, either the old or the new content is there, whole. Not for logs or
// stores: those have their own formats.
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Who may read the file, as a POSIX mode. The default is the owner alone. */
const OWNER_ONLY = 0o600;

/**
 * Writes `content` to `path`: a temporary file beside it, fsync, rename, fsync of the directory. When the promise
 * resolves the new content survives power loss; when it rejects (with the system's error) the old content is untouched.
 * Two calls for the same path must not overlap.
 */
export async function writeFileDurably(path: string, content: string | Uint8Array, mode = OWNER_ONLY): Promise<void> {
  const temporary = `${path}.tmp`;
  // A leftover of an earlier crash may have another mode, and open() keeps the mode of what exists.
  await rm(temporary, { force: true });
  try {
    {
      await using file = await open(temporary, 'wx', mode);
      // open() is subject to the umask.
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    }
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
  await syncDirectory(dirname(path));
}

/** Makes a rename inside `directory` durable. */
async function syncDirectory(directory: string): Promise<void> {
  // Windows has no such call; NTFS journals the rename itself.
  if (process.platform === 'win32') return;
  await using handle = await open(directory, 'r');
  await handle.sync();
}
