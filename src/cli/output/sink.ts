// Where a long output goes: standard output, as fast as its reader takes it, or a file that is there only when it is whole.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { describe } from '../../kernel/fault.js';
import { CliFault } from '../fault.js';
import type { Terminal } from '../terminal.js';

export interface Sink {
  /** Resolves when there is room for more. */
  write(text: string): Promise<void>;
}

/** Runs `fill`. A file takes its name when that has succeeded; else nothing of it is left, and what was there stays. */
export async function withSink<T>(
  file: string | undefined,
  { stdout }: Pick<Terminal, 'stdout'>,
  fill: (sink: Sink) => Promise<T>,
): Promise<T> {
  if (file === undefined) {
    return fill({
      write: async (text) => {
        stdout.write(text);
        await stdout.drained();
      },
    });
  }
  const temporary = `${file}.partial`;
  if ((await stat(file).catch(() => undefined))?.isDirectory()) {
    throw new CliFault('cli.refused', `${file} is a directory`, { advice: 'Name a file, for example in it.' });
  }
  const stream = createWriteStream(temporary, { flush: true });
  const failed = once(stream, 'error').then(([cause]) =>
    Promise.reject(
      new CliFault('cli.refused', `${file} cannot be written: ${describe(cause)}`, {
        cause,
        advice: 'Choose a file in a folder that is there, that may be written, and that has room for it.',
      }),
    ),
  );
  failed.catch(() => undefined);
  const told = (event: 'drain' | 'close') => new Promise<void>((resolve) => stream.once(event, () => resolve()));
  try {
    const result = await fill({
      write: async (text) => {
        if (!stream.write(text)) await Promise.race([told('drain'), failed]);
      },
    });
    stream.end();
    await Promise.race([told('close'), failed]);
    await rename(temporary, file);
    return result;
  } catch (thrown) {
    stream.destroy();
    await rm(temporary, { force: true });
    throw thrown;
  }
}
