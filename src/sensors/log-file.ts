// One opened log file and how far it has been read, by whole lines. What is done when the log is rotated: log-follower.ts.
import type { FileHandle } from 'node:fs/promises';

/** What is read at a time. */
export const CHUNK = 65_536;
const NEWLINE = 0x0a;
/** So many bytes before the position tell the file from one that was written anew. */
const MARK = 256;
/** What is looked at of a line. */
const MAX_LINE = 4_096;

export class LogFile {
  #position = 0;
  #mark: Buffer = Buffer.alloc(0);
  /** Within a line that is longer than a chunk: the rest of it is skipped. */
  #inLongLine = false;

  private constructor(
    readonly handle: FileHandle,
    private readonly identity: { readonly dev: bigint; readonly ino: bigint },
  ) {}

  static async of(handle: FileHandle): Promise<LogFile> {
    return new LogFile(handle, await handle.stat({ bigint: true }));
  }

  /** The same file under whatever name. */
  is(other: LogFile): boolean {
    return this.identity.dev === other.identity.dev && this.identity.ino === other.identity.ino;
  }

  async unread(): Promise<number> {
    return Math.max(0, (await this.handle.stat()).size - this.#position);
  }

  async skipToEnd(): Promise<void> {
    const { size } = await this.handle.stat();
    const length = Math.min(size, MARK);
    this.#mark = await this.#bytes(size - length, length);
    this.#position = size;
  }

  /** Whether it still has what was read of it, and not something else: what was emptied may have grown again. */
  async hasWhatWasRead(mark = this.#mark, position = this.#position): Promise<boolean> {
    const { size } = await this.handle.stat();
    if (size < position) return false;
    return (await this.#bytes(position - mark.length, mark.length)).equals(mark);
  }

  /** Whether it is a copy of what the other one was: then it goes on where the other was. */
  async continues(other: LogFile): Promise<boolean> {
    // Of a file of which nothing has been read, anything could be the copy.
    if (other.#mark.length === 0 || !(await this.hasWhatWasRead(other.#mark, other.#position))) return false;
    this.#position = other.#position;
    this.#mark = other.#mark;
    this.#inLongLine = other.#inLongLine;
    return true;
  }

  startAgain(): void {
    this.#position = 0;
    this.#mark = Buffer.alloc(0);
    this.#inLongLine = false;
  }

  /**
   * The next whole lines, some tens of KiB at a time; undefined when there is none yet. `final`: what stands at the end
   * without a newline is a line as well.
   */
  async next(final: boolean): Promise<string[] | undefined> {
    const chunk = await this.#bytes(this.#position, CHUNK);
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > 0) return this.#take(chunk.subarray(0, end), false);
    if (chunk.length === CHUNK) return this.#take(chunk, true);
    return final && chunk.length > 0 ? this.#take(chunk, false) : undefined;
  }

  #take(bytes: Buffer, goesOn: boolean): string[] {
    const lines = split(bytes);
    if (this.#inLongLine) lines.shift();
    this.#inLongLine = goesOn;
    this.#position += bytes.length;
    this.#mark = Buffer.from(Buffer.concat([this.#mark, bytes.subarray(-MARK)]).subarray(-MARK));
    return lines;
  }

  async #bytes(from: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await this.handle.read(buffer, 0, length, from);
    return buffer.subarray(0, bytesRead);
  }
}

function split(bytes: Buffer): string[] {
  const lines: string[] = [];
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from);
    const end = newline < 0 ? bytes.length : newline;
    lines.push(bytes.toString('utf8', from, Math.min(end, from + MAX_LINE)).replace(/\r$/, ''));
    from = end + 1;
  }
  return lines;
}
