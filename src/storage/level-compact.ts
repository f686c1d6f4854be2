// Making a store that nobody has open as small as it gets: LevelDB drops what was overwritten or deleted.
import { newLevel, openFault } from './level-open.js';

/** The store must be in order. Faults: storage.in-use, storage.unusable. */
export async function compactLevel(directory: string): Promise<void> {
  const level = newLevel({ directory });
  try {
    await level.open();
    await level.compactRange(Buffer.alloc(0), Buffer.alloc(64, 0xff));
  } catch (thrown) {
    throw openFault(directory, thrown);
  } finally {
    await level.close();
  }
}
