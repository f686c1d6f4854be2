// A consistent copy of a running cloud: its store as of one moment, its CA and keys, and what has been revoked.
//   <backup>/store/        a store of its own
//   <backup>/ca/ node.key node.json enrollment.key notify.key operator.token revoked.log
//   <backup>/backup.json   written last: a folder without it is not a backup
import { copyFile, cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../kernel/clock.js';
import { writeFileDurably } from '../../kernel/durable-file.js';
import type { Logger } from '../../kernel/log.js';
import { SOFTWARE } from '../../kernel/software.js';
import { undefinedIfMissing } from '../../kernel/system-error.js';
import { type CopyProgress, copyStore } from '../../storage/copy.js';
import { LevelStore } from '../../storage/level.js';
import type { Store } from '../../storage/store.js';

/** Beside the store, what makes a cloud this cloud. All of it secret or needed to trust what is. */
export const KEY_FILES = [
  'node.key',
  'node.json',
  'enrollment.key',
  'notify.key',
  'operator.token',
  'revoked.log',
] as const;
export const AUTHORITY = 'ca';
export const MANIFEST = 'backup.json';

export interface BackupManifest {
  readonly v: 1;
  readonly takenAt: string;
  readonly software: string;
  readonly entries: number;
  readonly bytes: number;
}

/**
 * Copies into `target`, which must not exist. Rejects with the signal's reason when aborted, and leaves nothing then or
 * on failure. Faults: storage.*, those of the file system.
 */
export async function createBackup(
  options: { readonly directory: string; readonly target: string; readonly signal: AbortSignal },
  modules: { readonly store: Store; readonly clock: Clock; readonly log: Logger },
  onProgress: (progress: CopyProgress) => void,
): Promise<void> {
  const { directory, target, signal } = options;
  await mkdir(target, { recursive: false, mode: 0o700 });
  try {
    const copy = await LevelStore.open({ directory: join(target, 'store') }, modules);
    let copied: CopyProgress;
    try {
      copied = await copyStore(modules.store, copy, (progress) => {
        signal.throwIfAborted();
        onProgress(progress);
      });
    } finally {
      await copy.stop();
    }
    await cp(join(directory, AUTHORITY), join(target, AUTHORITY), { recursive: true });
    for (const name of KEY_FILES) await copyIfThere(join(directory, name), join(target, name));
    const manifest: BackupManifest = {
      v: 1,
      takenAt: new Date(modules.clock.now()).toISOString(),
      software: SOFTWARE,
      ...copied,
    };
    await writeFileDurably(join(target, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`);
  } catch (thrown) {
    await rm(target, { recursive: true, force: true });
    throw thrown;
  }
}

/** Keeps the mode: what is secret stays so. */
export async function copyIfThere(from: string, to: string): Promise<void> {
  await copyFile(from, to).catch(undefinedIfMissing);
}
