// A folder of this process, below one that all processes of its kind share: what those left behind that have ended is
// removed, what others use that run now stays.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../kernel/system-error.js';

/** Makes and names it. */
export async function ownFolder(shared: string): Promise<string> {
  const names = await readdir(shared).catch(() => []);
  const old = names.filter((name) => !isRunning(Number(name)));
  await Promise.all(old.map((name) => rm(join(shared, name), { recursive: true, force: true })));
  const own = join(shared, String(process.pid));
  await mkdir(own, { recursive: true });
  return own;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    // Somebody else's process.
    return systemCode(thrown) === 'EPERM';
  }
}
