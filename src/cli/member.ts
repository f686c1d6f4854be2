// What `occ connector` and `occ hub` have in common: a place among the members before anything starts.
import { absentInterfaces, systemInterfaces } from '../discovery/interfaces.js';
import { machineFingerprint } from '../identity/machine-id.js';
import { defined } from '../kernel/defined.js';
import type { Logger } from '../kernel/log.js';
import { type JoinOptions, join } from '../membership/join.js';
import { loadMembership } from '../membership/machine-files.js';
import { PLUGIN_DIRECTORIES } from '../sensors/kinds/exec.js';
import { LOG_DIRECTORIES } from '../sensors/watched-path.js';
import type { CONNECTOR_SETTINGS } from './config/role-settings.js';
import type { ValuesOf } from './config/settings.js';
import { proxyFor } from './proxy.js';
import { type SystemUser, systemUser } from './system-user.js';
import type { Terminal } from './terminal.js';
import { readTokenFile } from './token-file.js';

/** What both roles can be told. */
export type MemberValues = Omit<ValuesOf<typeof CONNECTOR_SETTINGS>, 'listen'>;

export interface JoinPlan {
  readonly directories: JoinOptions['directories'];
  readonly connectors: readonly string[];
  readonly multicast: boolean;
  readonly directAllowed: boolean;
}

/** Enrols if need be. Resolves with the proxy for the cloud, if there is one. Faults: see join(); cli.config. */
export async function becomeMember(
  plan: JoinPlan,
  values: MemberValues,
  terminal: Terminal,
  log: Logger,
): Promise<{ readonly proxy?: string }> {
  const absent = absentInterfaces(systemInterfaces, values.interfaces ?? []);
  // They come and go; but one with a wrong name never comes.
  if (absent.length > 0)
    log.warn({ absent, present: Object.keys(systemInterfaces()) }, 'this machine has no such network interface now');
  const token = await readTokenFile(values.tokenFile, terminal, log);
  const known = await loadMembership(plan.directories.hub, await machineFingerprint());
  const cloud = known?.record.cloud ?? token?.cloud;
  const proxy = cloud === undefined ? values.proxy : proxyFor(cloud, values.proxy, terminal);
  const way = defined({ proxy });
  await join(
    { ...plan, token, ...discoveryOf(values), ...way },
    { clock: terminal.clock, random: terminal.random, log, signal: terminal.interrupted },
  );
  return way;
}

/** Where discovery happens. */
export const discoveryOf = ({ interfaces, ssdpPort }: MemberValues) => ({
  ...defined({ interfaces, ssdpPort }),
});

/** What a hub is told, alone or inside a connector. Faults: cli.config. */
export async function hubOptionsOf(values: MemberValues) {
  const {
    execDirectories,
    execUser,
    watchDirectories = LOG_DIRECTORIES,
    sshCommands = [],
    fallbackAfter,
    journal,
    walSize,
  } = values;
  const runAs = await execUserOf(execUser);
  return {
    // A hub that is not root runs programs as the user that owns its key: only where its owner says so.
    execDirectories: execDirectories ?? (runAs === undefined ? [] : PLUGIN_DIRECTORIES),
    watchDirectories,
    sshCommands: Object.fromEntries(sshCommands),
    ...defined({ execRunAs: runAs, fallbackAfter, journal, walBytes: walSize }),
  };
}

/** A hub that is root runs programs as somebody else: as nobody, unless told otherwise. */
async function execUserOf(name: string | undefined): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  if (name !== undefined) return await systemUser(name);
  return await systemUser('nobody').catch(() => undefined);
}
