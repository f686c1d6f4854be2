// Room for batches that are unfolded: a batch of a few hundred bytes may hold 262,144 values, which take megabytes as
// arrays. So only so much is unfolded at a time, and hubs take turns: one that sends such batches waits for itself, and
// others for no more than one of them.

/** Bytes unfolded at the same time; more than one batch only as far as this goes. */
const ROOM = 64 * 1024 * 1024;
const READING = 32;
const VALUE = 8;

/** Bytes of memory that a batch takes as flat arrays. */
export const unfoldedSize = ({ readingCount, valueCount }: { readingCount: number; valueCount: number }): number =>
  readingCount * READING + valueCount * VALUE;

/** Verifying a batch and storing it take as much time as unfolding so many bytes. */
export const VERIFYING_COST: number = 16 * 1024;

/** What a batch costs in time, in bytes unfolded: what it is charged with. */
export const unfoldingCost = (header: Parameters<typeof unfoldedSize>[0]): number =>
  VERIFYING_COST + unfoldedSize(header);

/** Waits, before something is unfolded, until it may cost so much; or refuses by throwing. */
export type Afford = (cost: number) => Promise<void>;

interface Waiting {
  readonly bytes: number;
  readonly begin: () => void;
}

export class UnfoldingRoom {
  #taken = 0;
  /** Who waits, in turn: whoever was served stands last. */
  readonly #queues = new Map<string, Waiting[]>();

  constructor(private readonly room: number = ROOM) {}

  /** Resolves when it is the turn of `hub` for so many bytes; what it resolves with gives the room back and must be called once. */
  enter(hub: string, bytes: number): Promise<() => void> {
    return new Promise((resolve) => {
      const begin = () => {
        this.#taken += bytes;
        resolve(() => {
          this.#taken -= bytes;
          this.#next();
        });
      };
      const queue = this.#queues.get(hub);
      if (queue) queue.push({ bytes, begin });
      else this.#queues.set(hub, [{ bytes, begin }]);
      this.#next();
    });
  }

  #next(): void {
    for (const [hub, queue] of this.#queues) {
      const [first] = queue;
      // Not past whoever is next: a large one would wait for ever.
      if (!first || (this.#taken > 0 && this.#taken + first.bytes > this.room)) return;
      this.#queues.delete(hub);
      queue.shift();
      if (queue.length > 0) this.#queues.set(hub, queue);
      first.begin();
    }
  }
}
