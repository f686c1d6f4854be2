// The embedded store: classic-level (LevelDB 1.20) behind the port. LevelDB ignores damage in its log and goes on
// acknowledging after a failed write, so that nothing it says is believed without proof:
//
//   values    carry a version and a checksum over key and value                                      checksum.ts
//   commits   carry contiguous numbers, written in the same batch under keys that begin with 0x00    commit-numbers.ts
//   the end   of the store is known from a mark beside it                                            commit-mark.ts
//   tables    are read and checked before LevelDB opens them                                         level-check.ts
//   a failed  write closes the handle; after reopening, what was refused but is there is undone      below
//
// What a rejected commit wrote may reappear only if the process dies between the failed write and the reopening.

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { view } from '../kernel/bytes.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { frame, unframe } from './checksum.js';
import { CommitMark } from './commit-mark.js';
import type { CommitNumbers, DelOp, Level, PutOp } from './commit-numbers.js';
import { closed, GroupCommit } from './group-commit.js';
import { causes, type LevelOptions, makeDirectory, type newLevel, openFault, openLevel } from './level-open.js';
import { type Entry, type Op, type Range, StorageFault, type Store } from './store.js';

export interface LevelStoreOptions extends LevelOptions {
  /** Bytes of keys and values that share one synced write. Default 8 MiB. */
  readonly maxGroupBytes?: number;
}

export interface LevelStoreModules {
  readonly log: Logger;
  /** Runs each synced write, for whoever wants to know how long they take. */
  readonly timeWrite?: (write: () => Promise<void>) => Promise<void>;
  /** Makes the handle that does the work; for tests that let it fail. */
  readonly newLevel?: typeof newLevel;
}

/** An operation as it goes to disk: values framed. */
type RawOp = PutOp | DelOp;

/** A write that failed and may yet turn up: its commit number, and what takes it back. */
interface Doubt {
  readonly number: number;
  /** Undefined when what was there before could not be read. */
  readonly undo: readonly RawOp[] | undefined;
}

const FIRST_KEY = Buffer.of(0x01);
const READ_AHEAD = { entries: 1000, bytes: 256 * 1024 };

export class LevelStore implements Store {
  readonly #group: GroupCommit;
  /** The handle; pending while the store is being reopened, rejected while it cannot be. */
  #level: Promise<Level>;
  #numbers: CommitNumbers;
  #doubt: Doubt | undefined;
  #stopping: Promise<void> | undefined;
  #groups = 0;

  private constructor(
    private readonly options: LevelStoreOptions,
    private readonly modules: LevelStoreModules,
    private readonly mark: CommitMark,
    opened: { level: Level; numbers: CommitNumbers },
  ) {
    this.#level = Promise.resolve(opened.level);
    this.#numbers = opened.numbers;
    const { timeWrite = (write) => write() } = modules;
    this.#group = new GroupCommit(options, {
      write: (ops) => timeWrite(() => this.#write(ops)),
      recover: () => this.#recover(),
    });
  }

  /** Opens the store in a directory, creating both. Faults: storage.in-use, storage.damaged, storage.unusable. */
  static async open(options: LevelStoreOptions, modules: LevelStoreModules): Promise<LevelStore> {
    await makeDirectory(options.directory);
    const mark = await CommitMark.open(options.directory, modules.log).catch((thrown) => {
      throw openFault(options.directory, thrown);
    });
    try {
      return new LevelStore(options, modules, mark, await openLevel(options, mark.latest, modules.newLevel));
    } catch (thrown) {
      await mark.stop();
      throw thrown;
    }
  }

  /** How many shared, synced writes have succeeded since opening. */
  get writes(): number {
    return this.#groups;
  }

  async get(key: Uint8Array): Promise<Buffer | undefined> {
    const framed = await this.#read((level) => level.get(view(key)));
    return framed && unframe(key, framed);
  }

  async *entries(range: Range): AsyncGenerator<Entry> {
    const from = Buffer.compare(range.from, FIRST_KEY) < 0 ? FIRST_KEY : view(range.from);
    if (Buffer.compare(from, range.until) >= 0) return;
    const { reverse = false, limit = -1 } = range;
    const iterator = await this.#read(async (level) =>
      level.iterator({ gte: from, lt: view(range.until), reverse, limit, highWaterMarkBytes: READ_AHEAD.bytes }),
    );
    try {
      for (;;) {
        const some = await iterator.nextv(READ_AHEAD.entries).catch((thrown) => {
          throw this.#readFault(thrown);
        });
        if (some.length === 0) return;
        for (const [key, framed] of some) yield { key, value: unframe(key, framed) };
      }
    } finally {
      await iterator.close();
    }
  }

  commit(build: () => readonly Op[] | undefined): Promise<void> {
    return this.#group.commit(build);
  }

  onReset(listener: () => Promise<void>): () => void {
    return this.#group.onReset(listener);
  }

  async reclaim({ from, until }: Pick<Range, 'from' | 'until'>): Promise<void> {
    await this.#read((level) => level.compactRange(view(from), view(until)));
  }

  async size(): Promise<number> {
    let bytes = 0;
    for (const name of await readdir(this.options.directory)) {
      // LevelDB deletes files at any time.
      bytes += await stat(join(this.options.directory, name)).then(
        (file) => file.size,
        () => 0,
      );
    }
    return bytes;
  }

  /** Waits for the commits already made, then closes. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    await this.#group.stop();
    const level = await this.#level.catch(() => undefined);
    this.#setLevel(Promise.reject(closed()));
    await level?.close();
    await this.mark.stop();
  }

  async #write(ops: readonly Op[]): Promise<void> {
    await this.#writeRaw(await this.#level, ops.map(toRaw));
  }

  async #writeRaw(level: Level, ops: readonly RawOp[]): Promise<void> {
    const { number, ops: own, written } = this.#numbers.next();
    try {
      await level.batch<Buffer, Buffer>([...own, ...ops], { sync: true });
    } catch (thrown) {
      this.modules.log.error({ directory: this.options.directory, cause: describe(thrown) }, 'a write failed');
      this.#doubt ??= { number, undo: await undoOf(level, ops) };
      throw new StorageFault('storage.write-failed', `the write failed: ${describe(thrown)}`, {
        cause: thrown,
        advice: 'Check that the disk is healthy and has space.',
      });
    }
    written();
    this.#groups++;
    this.mark.advance(number);
  }

  /** The handle that failed goes on acknowledging what it will not keep: it must not be used again. */
  async #recover(): Promise<void> {
    const reopening = this.#reopen(await this.#level.catch(() => undefined));
    this.#setLevel(reopening);
    await reopening;
    this.modules.log.warn({ directory: this.options.directory }, 'the store is open again');
  }

  async #reopen(old: Level | undefined): Promise<Level> {
    try {
      await old?.close();
      // Tables were checked at the start; what was written since has not been at rest for long.
      const { level, numbers } = await openLevel(
        { ...this.options, checkTables: false },
        this.mark.latest,
        this.modules.newLevel,
      );
      this.#numbers = numbers;
      await this.#undo(level).catch(async (thrown) => {
        await level.close();
        throw thrown;
      });
      return level;
    } catch (thrown) {
      const fault = openFault(this.options.directory, thrown);
      if (fault.code !== 'storage.unusable') throw fault;
      throw new StorageFault('storage.write-failed', fault.message, {
        cause: thrown,
        advice: 'Check that the disk is healthy and has space.',
      });
    }
  }

  /** Takes back what was refused but is there: the failed write may have reached the disk all the same. */
  async #undo(level: Level): Promise<void> {
    const doubt = this.#doubt;
    if (doubt && this.#numbers.latest >= doubt.number) {
      if (!doubt.undo) {
        const message = `commit ${doubt.number} was refused, is there, and cannot be taken back`;
        throw new StorageFault('storage.damaged', message, { permanent: true });
      }
      await this.#writeRaw(level, doubt.undo);
    }
    this.#doubt = undefined;
  }

  /** Runs a read on the handle; once more when the store was reopened meanwhile. */
  async #read<T>(action: (level: Level) => T | Promise<T>): Promise<T> {
    for (;;) {
      const used = this.#level;
      const level = await used.catch(() => this.#revived());
      try {
        return await action(level);
      } catch (thrown) {
        if (causes(thrown).includes('LEVEL_DATABASE_NOT_OPEN') && this.#level !== used) continue;
        throw this.#readFault(thrown);
      }
    }
  }

  /**
   * The handle, where reopening it has failed before: that is tried again for readers too, since those who would write
   * may have to read first.
   */
  async #revived(): Promise<Level> {
    if (!this.#stopping) await this.#group.commit(() => undefined);
    return await this.#level;
  }

  #readFault(thrown: unknown): StorageFault {
    if (thrown instanceof StorageFault) return thrown;
    if (this.#stopping) return closed();
    if (causes(thrown).some((code) => code.endsWith('_NOT_OPEN'))) {
      return new StorageFault('storage.closed', 'the store was reopened meanwhile', { advice: 'Read again.' });
    }
    return openFault(this.options.directory, thrown);
  }

  #setLevel(level: Promise<Level>): void {
    level.catch(() => undefined); // Whoever reads is told; nobody may be reading.
    this.#level = level;
  }
}

/** What restores the keys that `ops` touch, read from a handle whose write of them failed. */
async function undoOf(level: Level, ops: readonly RawOp[]): Promise<readonly RawOp[] | undefined> {
  const keys = [...new Map(ops.map(({ key }) => [key.toString('latin1'), key])).values()];
  try {
    const values = await level.getMany(keys);
    return keys.map((key, i) => {
      const value = values[i];
      return value ? { type: 'put', key, value } : { type: 'del', key };
    });
  } catch {
    return undefined;
  }
}

function toRaw(op: Op): RawOp {
  if ('put' in op) return { type: 'put', key: view(op.put), value: frame(op.put, op.value) };
  return { type: 'del', key: view(op.del) };
}
