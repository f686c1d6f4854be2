// What installing a role as a service takes, and what removing it takes back. Data stays unless somebody says otherwise.
import { existsSync } from 'node:fs';
import { access, lchown, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from '../../kernel/durable-file.js';
import { systemCode } from '../../kernel/system-error.js';
import { CliFault, usage } from '../fault.js';
import type { RoleName } from '../places.js';
import { type SystemUser, systemUser } from '../system-user.js';
import { groupsOf, type Host, textAt } from './host.js';
import { command, link, ownDirectory, removeFile, removeTree, type Step, writeFile } from './steps.js';
import { unitName, unitText } from './unit.js';

export interface InstallOptions {
  readonly role: RoleName;
  readonly program: readonly string[];
  readonly user: string;
  readonly data: string;
  readonly config?: string;
  /** Copied into the data directory: the service's user cannot read just anything. */
  readonly tokenFile?: string;
  /** Whether it is to run at once. */
  readonly start: boolean;
}

const UNITS = '/etc/systemd/system';
const WANTS = `${UNITS}/multi-user.target.wants`;
const SYSUSERS = '/etc/sysusers.d/occ.conf';
const LOG_GROUPS = ['adm', 'systemd-journal'];
const TOKEN = 'enrolment.token';

export async function installSteps(options: InstallOptions, host: Host): Promise<Step[]> {
  const { role, user, data, config, tokenFile, start } = options;
  if (!host.live && !data.startsWith('/var/lib/')) {
    throw usage('with --root, the data directory must be below /var/lib', 'systemd makes it there at the first start.');
  }
  const unit = unitName(role);
  const logGroups = await groupsOf(host, LOG_GROUPS);
  const copy = join(data, TOKEN);
  const hasToken = tokenFile !== undefined || existsSync(host.at(copy));
  if (host.live && start && !hasToken) await requireMember(options, host);
  const text = unitText({ ...options, ...(hasToken ? { tokenFile: copy } : {}), logGroups });
  const owner = () => userOf(host, user);
  // Before anything is changed: what cannot be read is said now.
  const secret = tokenFile === undefined ? undefined : await readable(tokenFile, '--token-file');
  if (host.live && start && config !== undefined) await readable(host.at(config), '--config');
  return [
    ...userSteps(host, user),
    ownDirectory(host, data, owner),
    ...(secret ? [tokenStep(host, copy, secret, owner)] : []),
    writeFile(host, `${UNITS}/${unit}`, text),
    ...(host.live ? [] : [link(host, `${WANTS}/${unit}`, `../${unit}`)]),
    ...command(host, ['systemctl', 'daemon-reload'], async (changed) => !changed && !(await isStale(host, unit))),
    ...command(host, ['systemctl', 'enable', unit], async () => says(host, ['is-enabled', unit], 'enabled')),
    ...(start
      ? command(
          host,
          ['systemctl', 'restart', unit],
          async (changed) => !changed && (await says(host, ['is-active', unit], 'active')),
        )
      : []),
  ];
}

/** Faults: cli.config. */
const readable = (path: string, flag: string): Promise<Buffer> =>
  readFile(path).catch((cause: unknown) => {
    // The path is not repeated, nor the cause, which has it in it: it may be a token, given where its file belongs.
    throw new CliFault('cli.config', `the file of ${flag} cannot be read (${systemCode(cause) ?? 'unknown why'})`, {
      advice: 'Check that it is there, that it is a file, and who may read it.',
    });
  });

/** It would start, end and start again for ever, and say why only in its log. Faults: cli.refused. */
async function requireMember({ role, data, config }: InstallOptions, host: Host): Promise<void> {
  // A configuration file may name a token.
  if (role === 'cloud' || config !== undefined) return;
  const record = host.at(join(data, role === 'hub' ? '' : 'connector', 'machine.json'));
  const isMissing = await access(record).then(
    () => false,
    // Whoever may not look there (--dry-run is for anybody) does not know.
    (thrown) => systemCode(thrown) === 'ENOENT',
  );
  if (!isMissing) return;
  throw new CliFault('cli.refused', `${data}: not a member of any mesh yet, and no enrolment token`, {
    advice: 'Say --token-file FILE ("occ tokens create" makes the file), or --no-start.',
  });
}

export interface RemoveOptions {
  readonly role: RoleName;
  readonly user: string;
  readonly data: string;
  /** Data, and the user when no other role is left. */
  readonly purge: boolean;
}

const ROLES: readonly RoleName[] = ['cloud', 'connector', 'hub'];

export async function removeSteps({ role, user, data, purge }: RemoveOptions, host: Host): Promise<Step[]> {
  const unit = unitName(role);
  const installed = await textAt(host.at(`${UNITS}/${unit}`));
  if (purge) await requireOurs(role, data, installed, host);
  const others = ROLES.filter((other) => other !== role);
  const isLast = !others.some((other) => existsSync(host.at(`${UNITS}/${unitName(other)}`)));
  const knownUser = await userOf(host, user);
  return [
    ...(installed !== undefined ? command(host, ['systemctl', 'disable', '--now', unit], async () => false) : []),
    removeFile(host, `${WANTS}/${unit}`),
    removeFile(host, `${UNITS}/${unit}`),
    ...command(host, ['systemctl', 'daemon-reload'], async (changed) => !changed),
    ...(purge ? [removeTree(host, data)] : []),
    ...(purge && isLast
      ? [removeFile(host, SYSUSERS), ...command(host, ['userdel', user], async () => knownUser === undefined)]
      : []),
  ];
}

/** What the data directory of each role has, some of it from the first moment on. */
const MARKS: { readonly [R in RoleName]: readonly string[] } = {
  cloud: ['ca', 'store'],
  connector: ['connector', 'lock', TOKEN],
  hub: ['machine.json', 'identity.key', 'log', TOKEN],
};

/** Nobody's home is removed because a path was mistyped. Faults: cli.usage, cli.refused. */
async function requireOurs(role: RoleName, data: string, unit: string | undefined, host: Host): Promise<void> {
  if (unit !== undefined && !unit.includes(`--data ${data} `)) {
    throw usage(`the unit has another data directory than ${data}`, 'Say --data as it stands in the unit.');
  }
  const names = await readdir(host.at(data)).catch((): string[] => []);
  if (names.length === 0 || MARKS[role].some((mark) => names.includes(mark))) return;
  throw new CliFault('cli.refused', `${data} does not look like the data of a ${role}`, {
    advice: 'If it is, remove it by hand.',
  });
}

/** Made by systemd-sysusers, which other roots run at their first start. */
function userSteps(host: Host, user: string): Step[] {
  const line = `# Written by "occ service install".\nu ${user} - "occ-mesh" /var/lib/occ /usr/sbin/nologin\n`;
  return [
    writeFile(host, SYSUSERS, line),
    ...command(host, ['systemd-sysusers', SYSUSERS], async () => (await userOf(host, user)) !== undefined),
  ];
}

function tokenStep(host: Host, path: string, secret: Buffer, owner: () => Promise<SystemUser | undefined>): Step {
  return {
    what: `copy the enrolment token to ${path}`,
    isDone: async () => (await readFile(host.at(path)).catch(() => undefined))?.equals(secret) ?? false,
    apply: async () => {
      await writeFileDurably(host.at(path), secret, 0o600);
      const wanted = await owner();
      // The directory is the service's, which may have put a link there meanwhile.
      if (wanted) await lchown(host.at(path), wanted.uid, wanted.gid);
    },
  };
}

/** Undefined while there is none of this name. */
const userOf = (host: Host, user: string): Promise<SystemUser | undefined> =>
  systemUser(user, host.at('/etc/passwd')).catch(() => undefined);

/** Whether systemd knows another text of the unit than that on the disk. */
const isStale = (host: Host, unit: string): Promise<boolean> =>
  says(host, ['show', '--property=NeedDaemonReload', '--value', unit], 'yes');

/** What systemctl answers, whatever its exit code. */
const says = (host: Host, args: readonly string[], wanted: string): Promise<boolean> =>
  host.run('systemctl', args).then(
    (answer) => answer.trim() === wanted,
    () => false,
  );
