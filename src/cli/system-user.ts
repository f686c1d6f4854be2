// Users of the operating system by name, for what runs with less than the hub's own rights.
import { readFile } from 'node:fs/promises';
import { CliFault } from './fault.js';

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** From /etc/passwd; names from a directory service have to be given as uid:gid. Faults: cli.config. */
export async function systemUser(name: string, file = '/etc/passwd'): Promise<SystemUser> {
  const numeric = /^(\d+):(\d+)$/.exec(name);
  if (numeric) return notRoot(name, { uid: Number(numeric[1]), gid: Number(numeric[2]) });
  const passwd = await readFile(file, 'utf8').catch(() => '');
  for (const line of passwd.split('\n')) {
    const [user, , uid, gid] = line.split(':');
    if (user === name) return notRoot(name, { uid: Number(uid), gid: Number(gid) });
  }
  throw new CliFault('cli.config', `there is no user "${name}" on this machine`, {
    advice: 'Name a user of /etc/passwd, or give uid:gid.',
  });
}

function notRoot(name: string, user: SystemUser): SystemUser {
  if (user.uid !== 0) return user;
  throw new CliFault('cli.config', `exec sensors must not run as "${name}"`, {
    advice: 'Name an unprivileged user, such as nobody.',
  });
}
