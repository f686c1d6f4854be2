// Space kept aside: a file of real blocks beside the store. When the disk is full it is given up, so that acknowledging
// and freeing (which have to write too) still work; new readings are not taken in until it stands again.
import { open, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Random } from '../kernel/random.js';

const BLOCK = 64 * 1024;

export class Reserve {
  #held = false;

  private constructor(
    private readonly path: string,
    private readonly bytes: number,
    private readonly random: Random,
  ) {}

  /** Finds the reserve of an earlier run or makes one; not having one is not an error. */
  static async open(path: string, bytes: number, random: Random): Promise<Reserve> {
    const reserve = new Reserve(path, bytes, random);
    const found = await stat(path).catch(() => undefined);
    reserve.#held = found?.size === bytes;
    await reserve.restore();
    return reserve;
  }

  get held(): boolean {
    return this.#held;
  }

  /** Makes the reserve again if it was released; false while there is no space for it and as much again. */
  async restore(): Promise<boolean> {
    if (this.#held) return true;
    try {
      const { bavail, bsize } = await statfs(dirname(this.path));
      if (bavail * bsize < 2 * this.bytes) return false;
      await this.#fill();
      this.#held = true;
    } catch {
      // No space after all (a quota, a limit on file sizes): half a reserve is none.
      await rm(this.path, { force: true }).catch(() => undefined);
    }
    return this.#held;
  }

  /** Gives the space back to the disk. */
  async release(): Promise<void> {
    this.#held = false;
    await rm(this.path, { force: true });
  }

  async #fill(): Promise<void> {
    await using file = await open(this.path, 'w', 0o600);
    // Random bytes, since some file systems store zeros without blocks.
    const block = this.random.bytes(Math.min(BLOCK, this.bytes));
    for (let at = 0; at < this.bytes; at += block.length) {
      const length = Math.min(block.length, this.bytes - at);
      const { bytesWritten } = await file.write(block, 0, length, at);
      if (bytesWritten < length) throw new Error('no space for the reserve');
    }
    await file.sync();
  }
}
