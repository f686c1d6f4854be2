// Bringing a cloud back: from a backup, or from what is still good of a damaged store. Both need the cloud to be stopped,
// and both keep what was there before, set aside under another name. What hubs have sent since, or what was damaged,
// they send again when they see that the cloud no longer holds it.
//
// Steps: (1) fill store.filling, and put CA and keys beside it where there are none; (2) rename it to store.ready; (3) set
// `store` aside; (4) write `restored`; (5) rename store.ready to `store`. After a crash before (2) the old store is still
// in place; after (2), finishRestore does the rest, at the next start of the cloud or of any of these.

import { existsSync } from 'node:fs';
import { appendFile, cp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../kernel/clock.js';
import { writeFileDurably } from '../../kernel/durable-file.js';
import { Fault, toError } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import { makePrivateDirectory } from '../../kernel/private-directory.js';
import { type CopyProgress, copyEntries, copyStore } from '../../storage/copy.js';
import { LevelStore } from '../../storage/level.js';
import { readSalvage, setAside } from '../../storage/salvage.js';
import { StorageFault } from '../../storage/store.js';
import { mendTelemetry } from '../telemetry/mend.js';
import { AUTHORITY, type BackupManifest, copyIfThere, KEY_FILES, MANIFEST } from './create.js';

export class RestoreFault extends Fault<
  'restore.no-backup' | 'restore.other-mesh' | 'restore.running' | 'restore.nothing-damaged'
> {}

const MANIFEST_FORM = z.object({
  v: z.literal(1),
  takenAt: z.string(),
  software: z.string(),
  entries: z.number(),
  bytes: z.number(),
});

/** Stands in the data directory from a restore to the next start of the cloud. */
export const RESTORED = 'restored';

export interface RestoreModules {
  readonly clock: Clock;
  readonly log: Logger;
}

type OnProgress = (progress: CopyProgress) => void;

/** Where a store that was replaced is now. */
export interface Restored {
  readonly setAside: string | undefined;
  readonly manifest: BackupManifest;
}

/** Faults: restore.*, storage.*. */
export async function restore(
  options: { readonly from: string; readonly directory: string },
  modules: RestoreModules,
  onProgress: OnProgress,
): Promise<Restored> {
  const { from, directory } = options;
  const manifest = await readManifest(from);
  await makePrivateDirectory(directory);
  await finishRestore(directory, modules);
  await requireStopped(directory, modules);
  await requireSameMesh(from, directory);

  const source = await LevelStore.open({ directory: join(from, 'store') }, modules);
  try {
    await fill(directory, modules, (target) => copyStore(source, target, onProgress));
  } finally {
    await source.stop();
  }
  if (!existsSync(join(directory, AUTHORITY))) {
    // All of it or nothing: half a CA would be taken for one.
    const half = join(directory, `${AUTHORITY}.filling`);
    await rm(half, { recursive: true, force: true });
    await cp(join(from, AUTHORITY), half, { recursive: true });
    await rename(half, join(directory, AUTHORITY));
  }
  for (const name of KEY_FILES) {
    // What was revoked stays revoked: the file only grows, and lines that stand twice count once.
    if (name === 'revoked.log') await appendRevocations(from, directory);
    // The token that the restored store knows; a newer one is none any more.
    else if (name === 'operator.token') await copyIfThere(join(from, name), join(directory, name));
    else if (!existsSync(join(directory, name))) await copyIfThere(join(from, name), join(directory, name));
  }
  await declareReady(directory);
  const aside = await putInPlace(directory, manifest.takenAt, modules);
  return { setAside: aside, manifest };
}

/** Ends a restore or repair that was interrupted; does nothing otherwise. The store must not be open. */
export async function finishRestore(directory: string, modules: RestoreModules): Promise<void> {
  if (!existsSync(join(directory, READY))) return;
  modules.log.warn({ directory }, 'a restore was interrupted: it is finished now');
  await putInPlace(directory, 'interrupted', modules);
}

export interface Repaired {
  readonly setAside: string | undefined;
  /** Entries that were good and are in the new store. */
  readonly entries: number;
  /**
   * Entries, stretches and files that were not. Readings come back from the hubs; customers, machines, sensors and tokens
   * may be among what is missing too, and only a backup is sure to have them.
   */
  readonly damaged: number;
}

/** Sets a damaged store aside and goes on with what is good of it. Faults: restore.running, restore.nothing-damaged. */
export async function repair(
  options: { readonly directory: string; readonly force: boolean },
  modules: RestoreModules,
  onProgress: OnProgress,
): Promise<Repaired> {
  const store = join(options.directory, 'store');
  await finishRestore(options.directory, modules);
  if (!existsSync(store)) {
    throw new RestoreFault('restore.nothing-damaged', `${options.directory} holds no store of a cloud`, {
      permanent: true,
      advice: "Name the cloud's data directory.",
    });
  }
  const damaged = await isDamaged(store, modules);
  if (!damaged && !options.force) {
    throw new RestoreFault('restore.nothing-damaged', `${store} is in order`, {
      permanent: true,
      advice: 'Start the cloud.',
    });
  }
  const salvage = readSalvage(store);
  const mended = await fill(options.directory, modules, async (target) => {
    await copyEntries(salvage, target, onProgress);
    return await mendTelemetry(target);
  });
  await declareReady(options.directory);
  const aside = await putInPlace(options.directory, 'repaired', modules);
  const { entries, damaged: lost } = salvage.report;
  modules.log.warn(
    { entries, damaged: lost, setAside: aside, ...mended },
    'store repaired: what is missing has to be healed',
  );
  return { setAside: aside, entries, damaged: lost };
}

const FILLING = 'store.filling';
const READY = 'store.ready';

/** Step 1. */
async function fill<T>(
  directory: string,
  modules: RestoreModules,
  action: (target: LevelStore) => Promise<T>,
): Promise<T> {
  // What an earlier one left behind must not be mixed in.
  await rm(join(directory, FILLING), { recursive: true, force: true });
  const target = await LevelStore.open({ directory: join(directory, FILLING) }, modules);
  try {
    return await action(target);
  } finally {
    await target.stop();
  }
}

/** Step 2: everything else that the cloud needs is there too. */
const declareReady = (directory: string): Promise<void> => rename(join(directory, FILLING), join(directory, READY));

/** Steps 3 to 5; returns where the old store is now. */
async function putInPlace(directory: string, why: string, modules: RestoreModules): Promise<string | undefined> {
  const store = join(directory, 'store');
  const aside = existsSync(store) ? await setAside(store, modules.clock.now()) : undefined;
  // Before the store is in its place: a cloud that starts in between must know that hubs may know more than it does.
  await writeFileDurably(join(directory, RESTORED), `${why}\n`);
  await rename(join(directory, READY), store);
  return aside;
}

async function readManifest(from: string): Promise<BackupManifest> {
  try {
    return MANIFEST_FORM.parse(JSON.parse(await readFile(join(from, MANIFEST), 'utf8')));
  } catch (thrown) {
    throw new RestoreFault('restore.no-backup', `${from} is not a complete backup: ${toError(thrown).message}`, {
      cause: thrown,
      permanent: true,
      advice: 'Name a folder that "occ cloud backup" has made.',
    });
  }
}

/** A store that opens is closed again; one that is damaged is what a restore is for; one in use must not be touched. */
async function requireStopped(directory: string, modules: RestoreModules): Promise<void> {
  if (existsSync(join(directory, 'store'))) await isDamaged(join(directory, 'store'), modules);
}

async function isDamaged(store: string, modules: RestoreModules): Promise<boolean> {
  try {
    await (await LevelStore.open({ directory: store }, modules)).stop();
    return false;
  } catch (thrown) {
    if (!(thrown instanceof StorageFault)) throw thrown;
    if (thrown.code === 'storage.damaged') return true;
    if (thrown.code !== 'storage.in-use') throw thrown;
    throw new RestoreFault('restore.running', 'the cloud is running', {
      cause: thrown,
      permanent: true,
      advice: 'Stop it first.',
    });
  }
}

async function requireSameMesh(from: string, directory: string): Promise<void> {
  const read = (folder: string) => readFile(join(folder, AUTHORITY, 'ca.crt'), 'utf8').catch(() => undefined);
  const [theirs, ours] = [await read(from), await read(directory)];
  if (theirs === undefined || ours === undefined || theirs === ours) return;
  throw new RestoreFault('restore.other-mesh', `${directory} belongs to another mesh than this backup`, {
    permanent: true,
    advice: 'Restore into the data directory of the same cloud, or into a new one.',
  });
}

async function appendRevocations(from: string, directory: string): Promise<void> {
  const lines = await readFile(join(from, 'revoked.log'), 'utf8').catch(() => '');
  if (lines !== '') await appendFile(join(directory, 'revoked.log'), lines, { mode: 0o600 });
}
