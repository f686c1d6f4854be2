// Group commit: while one synced write is under way, further commits queue; then all of them share the next one. Here
// is the order of things and nothing about files: what a write is, and how to recover from a failed one, is handed in.
import { describe } from '../kernel/fault.js';
import type { Stoppable } from '../kernel/scope.js';
import { type Op, StorageFault } from './store.js';

export interface GroupCommitOptions {
  /** A group is closed when its keys and values reach this many bytes. A single larger commit is a group of its own. */
  readonly maxGroupBytes?: number;
}

export interface GroupCommitModules {
  /** Writes all operations at once, durably; never called with none, nor twice at a time. */
  readonly write: (ops: readonly Op[]) => Promise<void>;
  /** Makes the store trustworthy after a failed write, or throws; then it is tried again at the next commit. */
  readonly recover: () => Promise<void>;
}

type Build = () => readonly Op[] | undefined;

interface Waiting {
  readonly build: Build;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

interface Group {
  readonly ops: Op[];
  /** How each member ends once the group is durable, and the member itself. */
  readonly members: { readonly waiting: Waiting; readonly succeed: () => void }[];
}

const DEFAULT_GROUP_BYTES = 8 * 1024 * 1024;

export class GroupCommit implements Stoppable {
  readonly #maxGroupBytes: number;
  readonly #listeners = new Set<() => Promise<void>>();
  #queue: Waiting[] = [];
  #draining: Promise<void> | undefined;
  #suspect = false;
  #stopped = false;

  constructor(
    options: GroupCommitOptions,
    private readonly modules: GroupCommitModules,
  ) {
    this.#maxGroupBytes = options.maxGroupBytes ?? DEFAULT_GROUP_BYTES;
  }

  /** See Store.commit. */
  commit(build: Build): Promise<void> {
    if (this.#stopped) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      this.#queue.push({ build, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** See Store.onReset. A listener must not wait for a commit: no commit runs before all listeners have ended. */
  onReset(listener: () => Promise<void>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Refuses new commits and waits for those already accepted to end, one way or the other. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#draining;
  }

  async #drain(): Promise<void> {
    // One turn later, so that commits made in the same turn already share the first write.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      if (this.#suspect) await this.#recover();
      const group = this.#nextGroup();
      if (group.members.length > 0) await this.#write(group);
    }
    // In the same breath as finding the queue empty, so that no commit falls between the two.
    this.#draining = undefined;
  }

  async #recover(): Promise<void> {
    try {
      await this.modules.recover();
      for (const listener of [...this.#listeners]) await listener();
      this.#suspect = false;
    } catch (thrown) {
      const fault = asWriteFault(thrown);
      for (const waiting of this.#queue.splice(0)) waiting.reject(fault);
    }
  }

  #nextGroup(): Group {
    const group: Group = { ops: [], members: [] };
    let bytes = 0;
    let taken = 0;
    for (const waiting of this.#queue) {
      if (bytes >= this.#maxGroupBytes) break;
      taken++;
      try {
        const built = waiting.build() ?? [];
        for (const op of built) bytes += checkedLength(op);
        for (const op of built) group.ops.push(op);
        group.members.push({ waiting, succeed: waiting.resolve });
      } catch (thrown) {
        // Even a refusal rests on what earlier builds of this group did, so it is only told once that is durable.
        group.members.push({ waiting, succeed: () => waiting.reject(thrown) });
      }
    }
    this.#queue.splice(0, taken);
    return group;
  }

  async #write(group: Group): Promise<void> {
    try {
      if (group.ops.length > 0) await this.modules.write(group.ops);
      for (const member of group.members) member.succeed();
    } catch (thrown) {
      const fault = asWriteFault(thrown);
      for (const member of group.members) member.waiting.reject(fault);
      this.#suspect = true;
      // At once, not at the next commit: readers and listeners should not have to wait for somebody to write.
      await this.#recover();
    }
  }
}

export function closed(): StorageFault {
  return new StorageFault('storage.closed', 'the store has been closed', { permanent: true });
}

/** The bytes of an operation. Keys that begin with 0x00 belong to the store; none with 0xff, so that "all" has an end. */
function checkedLength(op: Op): number {
  const key = 'put' in op ? op.put : op.del;
  if (key.length === 0 || key[0] === 0x00 || key[0] === 0xff) {
    throw new TypeError('a key must not be empty, nor begin with 0x00 or 0xff');
  }
  return key.length + ('put' in op ? op.value.length : 0);
}

function asWriteFault(thrown: unknown): StorageFault {
  if (thrown instanceof StorageFault) return thrown;
  return new StorageFault('storage.write-failed', `the write failed: ${describe(thrown)}`, { cause: thrown });
}
