// `occ hub`, and what can be done to one that does not run.

import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Hub } from '../../hub/hub.js';
import type { EpochMs } from '../../kernel/duration.js';
import { silentLogger } from '../../kernel/log.js';
import { makePrivateDirectory } from '../../kernel/private-directory.js';
import { forgetMembership } from '../../membership/machine-files.js';
import { LevelStore } from '../../storage/level.js';
import { StorageFault } from '../../storage/store.js';
import { addRoleFlags, roleLog, roleValues } from '../config/role-config.js';
import { HUB_SETTINGS } from '../config/role-settings.js';
import { flagReader } from '../config/settings.js';
import { openDataDirectory } from '../data-directory.js';
import { CliFault } from '../fault.js';
import { becomeMember, discoveryOf, hubOptionsOf } from '../member.js';
import { openMeters } from '../metrics.js';
import { defaultDataDirectory } from '../places.js';
import { runRole } from '../run-role.js';
import type { Terminal } from '../terminal.js';
import { path } from '../values.js';

export function addHub(program: Command, terminal: Terminal): void {
  const command = program.command('hub').description('Run a hub: the sensors of one machine');
  addRoleFlags(command, HUB_SETTINGS, terminal);
  command.action(async () => {
    const values = await roleValues(command, HUB_SETTINGS);
    const log = await roleLog('hub', values, terminal);
    const directory = values.data ?? defaultDataDirectory('hub', terminal);
    const { connectors = [], multicast = true, direct = true } = values;
    await runRole(terminal, log, async (scope) => {
      await openDataDirectory(directory);
      const measured = await openMeters(values.metricsPort, scope, log);
      const ways = { connectors, multicast, directAllowed: direct };
      const way = await becomeMember({ directories: { hub: directory }, ...ways }, values, terminal, log);
      const options = {
        directory,
        ...ways,
        ...discoveryOf(values),
        ...way,
        ...(await hubOptionsOf(values)),
      };
      const { clock, random } = terminal;
      scope.own(await Hub.start(options, { clock, random, log, ...measured }));
    });
  });
  addResetIdentity(command, terminal);
}

function addResetIdentity(hub: Command, terminal: Terminal): void {
  const command = hub
    .command('reset-identity')
    .description('Forget who this machine is, so that it can enrol anew: after a disk was copied or a VM cloned')
    .requiredOption(
      '--data <dir>',
      'data directory of the stopped hub or connector',
      flagReader((text) => path(text, terminal.cwd)),
    )
    .option('--yes', 'do not ask');
  command.action(async ({ data, yes = false }: { data: string; yes?: boolean }) => {
    const directories = membershipsIn(data);
    if (directories.length === 0) {
      throw new CliFault('cli.not-found', `${data} holds no membership`, { advice: 'There is nothing to forget.' });
    }
    for (const directory of directories) await requireStopped(directory);
    if (!yes) await confirm(data, terminal);
    for (const directory of directories) {
      const aside = await setAside(directory, terminal.clock.now());
      await forgetMembership(directory);
      if (aside !== undefined) terminal.stderr.write(`Its log is now in ${aside}.\n`);
    }
    terminal.stderr.write('Forgotten. Start it with --token-file FILE to enrol anew.\n');
  });
}

/** A hub's directory is one itself; a connector's holds two. */
function membershipsIn(data: string): string[] {
  const candidates = [data, join(data, 'connector'), join(data, 'hub')];
  return candidates.filter((directory) =>
    ['machine.json', 'identity.key'].some((file) => existsSync(join(directory, file))),
  );
}

/** A hub that runs has its log locked, and would go on with the identity it holds in memory. Faults: storage.in-use. */
async function requireStopped(directory: string): Promise<void> {
  const store = join(directory, 'log', 'store');
  if (!existsSync(store)) return;
  try {
    await (await LevelStore.open({ directory: store }, { log: silentLogger })).stop();
  } catch (thrown) {
    // A damaged log is no reason to keep an identity.
    if (thrown instanceof StorageFault && thrown.code === 'storage.in-use') throw thrown;
  }
}

/** What only the old identity can use, and what would keep a new one from starting: its log and what it was told. */
const OF_THE_IDENTITY = ['log', 'generation', 'desired-state'];

/** Moves it into a folder of its own; undefined when there is none of it. */
async function setAside(directory: string, now: EpochMs): Promise<string | undefined> {
  const names = OF_THE_IDENTITY.filter((name) => existsSync(join(directory, name)));
  if (names.length === 0) return undefined;
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const aside = join(directory, `forgotten-${stamp}`);
  await makePrivateDirectory(aside);
  for (const name of names) await rename(join(directory, name), join(aside, name));
  return aside;
}

async function confirm(data: string, terminal: Terminal): Promise<void> {
  const answer = await terminal.ask(
    `The keys and the certificate in ${data} will be deleted. Readings not delivered yet stay on the disk, but\n` +
      'nobody will take them under a new identity. Type "yes" to go on: ',
  );
  if (answer?.trim().toLowerCase() === 'yes') return;
  throw new CliFault('cli.refused', answer === undefined ? 'nobody is there to be asked' : 'nothing was changed', {
    advice: 'Say --yes to do it without a question.',
  });
}
