// The new lines of a log from one look to the next, each once, also across rotation by either way of logrotate(8):
// - renamed and created anew: the old file stays open here, and is read to its end by this look and the next one, since
//   a program goes on writing to it until it is told to open the new one;
// - copied and truncated: what was not yet read is looked for in the copy.
// The position is kept in memory: the first look starts at the end. Of several rotations between two looks, those in the
// middle are missed, and so is the rest of what was copied and compressed at once.
import type { FileHandle } from 'node:fs/promises';
import { LogFile } from './log-file.js';

export interface LogPlace {
  /** The file by its name; undefined when it is not there. */
  open(): Promise<FileHandle | undefined>;
  /** Files beside it that may be copies of it, the newest first. */
  copies(): AsyncIterable<FileHandle>;
}

export class LogFollower {
  #started = false;
  /** Under the log's name at the last look. */
  #current: LogFile | undefined;
  /** Read to their end now, and once more if `again`. */
  #former: { readonly file: LogFile; again: boolean }[] = [];

  constructor(private readonly place: LogPlace) {}

  /** Looks what is there now. False: nothing has the log's name. */
  async look(): Promise<boolean> {
    const handle = await this.place.open();
    const found = handle && (await LogFile.of(handle));
    if (!this.#started) {
      this.#started = true;
      await found?.skipToEnd();
      this.#current = found;
    } else if (found && this.#current?.is(found)) {
      await found.handle.close();
      await this.#noticeTruncation(this.#current);
    } else if (found) {
      if (this.#current) this.#former.push({ file: this.#current, again: true });
      this.#current = found;
    }
    return found !== undefined;
  }

  /** New lines in their order, some at a time. */
  async *lines(): AsyncGenerator<readonly string[]> {
    for (const former of [...this.#former]) {
      yield* rest(former.file, !former.again);
      if (!former.again) await this.#drop(former.file);
      former.again = false;
    }
    if (this.#current) yield* rest(this.#current, false);
  }

  /** Bytes that have not been read. */
  async unread(): Promise<number> {
    const files = [...this.#former.map(({ file }) => file), ...(this.#current ? [this.#current] : [])];
    return (await Promise.all(files.map((file) => file.unread()))).reduce((sum, bytes) => sum + bytes, 0);
  }

  async close(): Promise<void> {
    const files = [...this.#former.map(({ file }) => file), ...(this.#current ? [this.#current] : [])];
    this.#former = [];
    this.#current = undefined;
    await Promise.all(files.map((file) => file.handle.close()));
  }

  async #noticeTruncation(current: LogFile): Promise<void> {
    if (await current.hasWhatWasRead()) return;
    const copy = await this.#copyOf(current);
    if (copy) this.#former.push({ file: copy, again: false });
    current.startAgain();
  }

  async #copyOf(current: LogFile): Promise<LogFile | undefined> {
    for await (const handle of this.place.copies()) {
      const file = await LogFile.of(handle);
      const known = file.is(current) || this.#former.some((former) => former.file.is(file));
      if (!known && (await file.continues(current))) return file;
      await handle.close();
    }
    return undefined;
  }

  async #drop(file: LogFile): Promise<void> {
    this.#former = this.#former.filter((former) => former.file !== file);
    await file.handle.close();
  }
}

async function* rest(file: LogFile, final: boolean): AsyncGenerator<readonly string[]> {
  for (;;) {
    const lines = await file.next(final);
    if (!lines) return;
    yield lines;
  }
}
