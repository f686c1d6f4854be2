// Opening classic-level, and what its errors mean. Everything is checked before anything is believed: the files, then
// the commit numbers.

import { ClassicLevel } from 'classic-level';
import { defined } from '../kernel/defined.js';
import { describe } from '../kernel/fault.js';
import { makePrivateDirectory } from '../kernel/private-directory.js';
import { CommitNumbers, type Level } from './commit-numbers.js';
import { fileDamages } from './level-check.js';
import { StorageFault } from './store.js';

export interface LevelOptions {
  readonly directory: string;
  /** Bytes that LevelDB keeps in memory and in its log before it writes a table. Default 4 MiB; up to two are held. */
  readonly writeBufferSize?: number;
  /** Bytes of blocks kept in memory for reading. Default 8 MiB. */
  readonly cacheSize?: number;
  /** Bytes per table file. Default 2 MiB; larger for stores of many gigabytes, of which 1,000 files are kept open. */
  readonly maxFileSize?: number;
  /**
   * Reads every table at opening and checks it, at about 400 MiB/s. Default true. Without it changed bytes in a value are
   * still found when it is read, but a changed key may hide an entry, and LevelDB ends the process on some.
   */
  readonly checkTables?: boolean;
}

const DEFAULT_WRITE_BUFFER = 4 * 1024 * 1024;

const DAMAGE_ADVICE = 'Set the store aside and build it again from what is still good, or restore a backup.';

/** Faults: storage.in-use, storage.damaged, storage.unusable. */
export async function openLevel(
  options: LevelOptions,
  mark: number,
  make: typeof newLevel = newLevel,
): Promise<{ level: Level; numbers: CommitNumbers }> {
  await checkFiles(options);
  const level = make(options);
  try {
    await level.open();
    return { level, numbers: await CommitNumbers.read(level, mark, options.writeBufferSize ?? DEFAULT_WRITE_BUFFER) };
  } catch (thrown) {
    await level.close().catch(() => undefined);
    throw openFault(options.directory, thrown);
  }
}

/** A handle that is not open yet. */
export function newLevel(options: LevelOptions): Level {
  return new ClassicLevel<Buffer, Buffer>(options.directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    // Most of what is kept is packed already; without it one changed byte touches one entry, not a block of them, and
    // the tables can be checked here (see level-format.ts).
    compression: false,
    writeBufferSize: options.writeBufferSize ?? DEFAULT_WRITE_BUFFER,
    ...defined({ cacheSize: options.cacheSize, maxFileSize: options.maxFileSize }),
  });
}

/** Creates the directory of a store, readable by its owner only. Faults: storage.unusable. */
export async function makeDirectory(directory: string): Promise<void> {
  await makePrivateDirectory(directory).catch((thrown) => {
    throw openFault(directory, thrown);
  });
}

/** A fault for what opening threw. */
export function openFault(directory: string, thrown: unknown): StorageFault {
  if (thrown instanceof StorageFault) return thrown;
  const codes = causes(thrown);
  if (codes.includes('LEVEL_LOCKED')) {
    return new StorageFault('storage.in-use', `the store ${directory} is in use by another process`, {
      cause: thrown,
      advice: 'Stop the other process that uses this data directory, or name another directory.',
    });
  }
  // LevelDB reports a file that should be there and is not as an I/O error.
  if (codes.includes('LEVEL_CORRUPTION') || /No such file|missing files/.test(describe(thrown))) {
    return new StorageFault('storage.damaged', `the store ${directory} is damaged: ${describe(thrown)}`, {
      cause: thrown,
      permanent: true,
      advice: DAMAGE_ADVICE,
    });
  }
  return new StorageFault('storage.unusable', `the store ${directory} cannot be opened: ${describe(thrown)}`, {
    cause: thrown,
    advice: 'Check that the directory exists, belongs to the user of this service, and that the disk has space.',
  });
}

async function checkFiles(options: LevelOptions): Promise<void> {
  const damages = await fileDamages(options.directory, { tables: options.checkTables ?? true }).catch((thrown) => {
    throw openFault(options.directory, thrown);
  });
  const [first] = damages;
  if (!first) return;
  const more = damages.length > 1 ? ` and ${damages.length - 1} more` : '';
  const message = `the store ${options.directory} is damaged: ${first.file}: ${first.reason}${more}`;
  throw new StorageFault('storage.damaged', message, { permanent: true, advice: DAMAGE_ADVICE });
}

/** The codes of an error and of its causes. */
export function causes(thrown: unknown): string[] {
  const codes: string[] = [];
  for (let at = thrown; at instanceof Error && codes.length < 5; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') codes.push(at.code);
  }
  return codes;
}
