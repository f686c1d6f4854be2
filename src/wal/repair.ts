// Replacing a damaged store: what is still good is copied into a new one, and the old one is set aside as it was found,
// for whoever wants to know what happened. What is missing afterwards is found by loading (load.ts, journal.ts).
//
// Steps: (1) copy into `<store>.new`; (2) rename `<store>` to `<store>.damaged-<time>`; (3) rename `<store>.new` to
// `<store>`. A crash before (2) leaves the damaged store in its place, and all begins anew; one between (2) and (3)
// leaves a complete copy and nothing in its place, and only (3) is left to do.
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Clock } from '../kernel/clock.js';
import type { Logger } from '../kernel/log.js';
import { copyEntries } from '../storage/copy.js';
import { readSalvage, setAside } from '../storage/salvage.js';
import type { Entry, Store } from '../storage/store.js';

export type OpenStore = (directory: string) => Promise<Store>;

export interface RepairModules {
  readonly openStore: OpenStore;
  readonly clock: Clock;
  readonly log: Logger;
}

const copyOf = (directory: string): string => `${directory}.new`;

/** Ends a repair that was interrupted; does nothing otherwise. To be called before the store is opened. */
export async function finishRepair(directory: string): Promise<void> {
  if (!existsSync(copyOf(directory))) return;
  if (existsSync(directory)) await rm(copyOf(directory), { recursive: true });
  else await rename(copyOf(directory), directory);
}

/** Replaces the store in `directory`, which must not be open; `unwanted` keys are left behind. Throws storage faults. */
export async function replaceDamaged(
  directory: string,
  unwanted: readonly Buffer[],
  modules: RepairModules,
): Promise<void> {
  const salvage = readSalvage(directory);
  await rm(copyOf(directory), { recursive: true, force: true });
  const copy = await modules.openStore(copyOf(directory));
  try {
    await copyEntries(without(salvage, unwanted), copy);
  } finally {
    await copy.stop();
  }
  const aside = await setAside(directory, modules.clock.now());
  await rename(copyOf(directory), directory);
  modules.log.warn({ aside, ...salvage.report }, 'the log was damaged: what is good was copied, the rest set aside');
}

async function* without(entries: AsyncIterable<Entry>, unwanted: readonly Buffer[]): AsyncGenerator<Entry> {
  for await (const entry of entries) if (!unwanted.some((key) => key.equals(entry.key))) yield entry;
}
