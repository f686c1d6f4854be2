// Keeps a journal in working order: one operation at a time, and what can be done about a failed one is done, once. A
// damaged store is replaced (repair.ts), a full disk gets the reserve and what was kept for healing.
import { describe } from '../kernel/fault.js';
import type { Stoppable } from '../kernel/scope.js';
import { Serial } from '../kernel/serial.js';
import { StorageFault, type Store } from '../storage/store.js';
import type { Books } from './books.js';
import { WalFault } from './fault.js';
import { Journal, type JournalModules, type JournalOptions } from './journal.js';
import type { MarkFile } from './mark-file.js';
import { finishRepair, type OpenStore, replaceDamaged } from './repair.js';
import type { Reserve } from './reserve.js';

export interface KeeperOptions extends JournalOptions {
  /** Of the store. */
  readonly directory: string;
}

export interface KeeperModules extends JournalModules {
  readonly openStore: OpenStore;
  readonly mark: MarkFile;
  readonly reserve: Reserve;
  /** Called when there are gaps that were not there before. */
  readonly onGap: () => void;
}

/** Buckets of 256 KiB that are given up at once when the disk is full. */
const FREED_WHEN_FULL = 16;

export class Keeper implements Stoppable {
  readonly #serial = new Serial();
  #store: Store | undefined;
  /** Undefined while the store could not be opened again after a repair. */
  #journal: Journal | undefined;
  #books: Books | undefined;
  #droppedBefore = 0;
  /** A write failed: the store may have to recover before anything else. */
  #failed = false;
  #stopping: Promise<void> | undefined;

  constructor(
    private readonly options: KeeperOptions,
    private readonly modules: KeeperModules,
  ) {}

  /** Faults: wal.foreign, wal.newer, storage.in-use, storage.unusable, storage.write-failed. */
  async start(): Promise<void> {
    await finishRepair(this.options.directory);
    await this.#openJournal().catch(async (thrown) => {
      if (!isDamage(thrown)) throw thrown;
      await this.#replace([], thrown);
    });
  }

  /** As of the last operation. */
  get books(): Books {
    if (!this.#books) throw closed();
    return this.#books;
  }

  get droppedReadings(): number {
    return this.#droppedBefore + (this.#journal?.droppedReadings ?? 0);
  }

  /** Runs one operation after those before it. It may be run a second time, so it must not change anything and fail. */
  run<T>(action: (journal: Journal) => Promise<T>): Promise<T> {
    if (this.#stopping) return Promise.reject(closed());
    return this.#serial.run(async () => {
      const before = this.books.gaps();
      try {
        return await this.#attempt(action);
      } finally {
        const now = this.books.gaps();
        if (now !== before && now.some((gap) => !before.includes(gap))) this.modules.onGap();
      }
    });
  }

  /** Waits for what was begun, writes down what was acknowledged, closes the store. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    await this.#serial.idle();
    await this.#journal?.tidy().catch((thrown) => {
      // Not worth failing for: without it the cloud is sent something twice.
      this.modules.log.warn({ cause: describe(thrown) }, 'acknowledgements could not be written down');
    });
    await this.#store?.stop();
  }

  async #openJournal(): Promise<Journal> {
    const { openStore, mark } = this.modules;
    this.#store = await openStore(this.options.directory);
    try {
      this.#journal = await Journal.open(this.#store, mark, this.options, this.modules);
    } catch (thrown) {
      await this.#store.stop();
      throw thrown;
    }
    this.#books = this.#journal.books;
    return this.#journal;
  }

  async #attempt<T>(action: (journal: Journal) => Promise<T>): Promise<T> {
    const journal = this.#journal ?? (await this.#openJournal());
    try {
      if (this.#failed) await journal.disk.revive();
      const result = await action(journal);
      this.#failed = false;
      return result;
    } catch (thrown) {
      if (isDamage(thrown)) return await action(await this.#replace(journal.disk.uncounted, thrown));
      if (isWriteFailure(thrown)) this.#failed = true;
      if (!isFull(thrown)) throw thrown;
      await this.#makeSpace(journal);
      return await action(journal);
    }
  }

  /** Goes on with a new store that has what is good of the damaged one. The open log is closed by that. */
  async #replace(unwanted: readonly Buffer[], reason: unknown): Promise<Journal> {
    const { clock, log, openStore } = this.modules;
    log.error({ cause: describe(reason) }, 'the log is damaged');
    this.#droppedBefore = this.droppedReadings;
    this.#journal = undefined;
    this.#failed = false;
    await this.#store?.stop();
    await replaceDamaged(this.options.directory, unwanted, { openStore, clock, log });
    return await this.#openJournal();
  }

  async #makeSpace(journal: Journal): Promise<void> {
    this.modules.log.warn('the disk is full: giving up the reserve and what was kept for healing');
    await this.modules.reserve.release();
    await journal.disk.revive();
    for (let freed = 0; freed < FREED_WHEN_FULL; freed++) if (!(await journal.freeOldest())) return;
  }
}

const closed = (): WalFault => new WalFault('wal.closed', 'the log has been closed', { permanent: true });

const isDamage = (thrown: unknown): boolean => thrown instanceof StorageFault && thrown.code === 'storage.damaged';

function isWriteFailure(thrown: unknown): boolean {
  if (thrown instanceof WalFault) return thrown.code === 'wal.write-failed';
  return thrown instanceof StorageFault && thrown.code === 'storage.write-failed';
}

const FULL = /ENOSPC|EDQUOT|EFBIG|No space left|quota exceeded|File too large/i;

/** By the words of the system, since LevelDB passes on nothing else. */
const isFull = (thrown: unknown): boolean => isWriteFailure(thrown) && FULL.test(describe(thrown));
