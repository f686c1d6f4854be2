// The store of a stopped cloud made as small as it gets: everything that can be merged is, also what the running cloud
// would leave for later, and LevelDB gives back the space.
import { stat } from 'node:fs/promises';
import { LevelStore } from '../storage/level.js';
import { compactLevel } from '../storage/level-compact.js';
import { StorageFault } from '../storage/store.js';
import { finishRestore, type RestoreModules } from './backup/restore.js';
import { cloudPaths } from './cloud-files.js';
import { logsIn } from './telemetry/logs.js';
import { Merger } from './telemetry/merging/merger.js';
import { STEPS } from './telemetry/merging/plan.js';
import { mergeHub } from './telemetry/merging/walk.js';

export interface Compacted {
  readonly merges: number;
  /** Bytes on disk, roughly. */
  readonly before: number;
  readonly after: number;
}

/** Faults: storage.*. */
export async function compact(directory: string, modules: RestoreModules): Promise<Compacted> {
  await finishRestore(directory, modules);
  const path = cloudPaths(directory).store;
  await stat(path).catch((cause) => {
    const advice = "Name the cloud's data directory.";
    throw new StorageFault('storage.unusable', `${directory} holds no store of a cloud`, { cause, advice });
  });
  const [merges, before] = await inStore(async (store) => {
    const size = await store.size();
    return [await mergeEverything(store), size];
  });
  await compactLevel(path);
  return { merges, before, after: await inStore((store) => store.size()) };

  async function inStore<T>(action: (store: LevelStore) => Promise<T>): Promise<T> {
    const store = await LevelStore.open({ directory: path }, modules);
    try {
      return await action(store);
    } finally {
      await store.stop();
    }
  }
}

async function mergeEverything(store: LevelStore): Promise<number> {
  const walk = { store, steps: STEPS, merger: new Merger({ store }, STEPS) };
  const done = new Set<string>();
  let merges = 0;
  for await (const { hub } of logsIn(store)) {
    const name = hub.machine.toString('hex');
    if (done.has(name)) continue;
    done.add(name);
    merges += await mergeHub(walk, hub, true);
  }
  return merges;
}
