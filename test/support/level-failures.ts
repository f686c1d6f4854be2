// Real classic-level handles that fail when told to.
import type { Level } from '../../src/storage/commit-numbers.js';
import { type LevelOptions, newLevel } from '../../src/storage/level-open.js';

/** Hand `newLevel` to LevelStore.open. */
export class LevelFailures {
  #write: { readonly applied: boolean } | undefined;
  #reopens = 0;

  /** The next batch fails; when `applied`, after it has been written. */
  failNextWrite(how: { readonly applied: boolean } = { applied: false }): void {
    this.#write = how;
  }

  failNextReopen(count: number): void {
    this.#reopens = count;
  }

  readonly newLevel = (options: LevelOptions): Level => {
    const level = newLevel(options);
    const batch = level.batch.bind(level) as (ops: unknown, how: unknown) => Promise<void>;
    const failing = async (ops: unknown, how: unknown): Promise<void> => {
      const failure = this.#write;
      this.#write = undefined;
      if (!failure) return await batch(ops, how);
      if (failure.applied) {
        // As in LevelDB: what fails after it reached the log is not in the memory of the handle that wrote it.
        const before = level.snapshot();
        const getMany = level.getMany.bind(level);
        await batch(ops, how);
        Object.assign(level, { getMany: (keys: Buffer[]) => getMany(keys, { snapshot: before }) });
      }
      throw new Error('the disk is full');
    };
    const open = level.open.bind(level);
    const reopen = async (): Promise<void> => {
      await open();
      if (this.#reopens-- > 0) throw new Error('the disk is still full');
      this.#reopens = 0;
    };
    return Object.assign(level, { batch: failing, open: reopen });
  };
}
