// Whether a path leads below directories that the machine's owner has allowed, after all links have been followed.
import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';

/** Undefined when there is no such file, or none that may be seen. */
export async function realPath(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch {
    return undefined;
  }
}

/** Both real paths. */
export const isBelow = (file: string, directory: string): boolean =>
  file.startsWith(directory.endsWith(sep) ? directory : directory + sep);
