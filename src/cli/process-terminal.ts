// The real terminal: this process.
import { once } from 'node:events';
import { homedir, hostname } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { systemClock } from '../kernel/clock.js';
import { systemRandom } from '../kernel/random.js';
import { EXIT } from './exit-codes.js';
import { CliFault } from './fault.js';
import { readSecret } from './secret-input.js';
import { shiftedClock } from './shifted-clock.js';
import type { Output, Terminal } from './terminal.js';

/** Installs signal handlers: the first signal asks, the second ends the process at once. */
export function processTerminal(): Terminal {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (abort.signal.aborted) process.exit(EXIT.INTERRUPTED);
      abort.abort(new CliFault('cli.interrupted', `ended by ${signal}`));
    });
  }
  // The reader of a pipe has gone (`occ … | head`): there is nobody left to tell.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.OK);
    throw error;
  });
  const wrongOn = process.env.OCC_TEST_CLOCK_OFFSET;
  return {
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    env: process.env,
    cwd: process.cwd(),
    home: homedir(),
    hostname: hostname(),
    platform: process.platform,
    readStdin,
    ask,
    readSecret: (question, limit) => readSecret(process.stdin, process.stderr, question, limit),
    interrupted: abort.signal,
    clock: wrongOn === undefined ? systemClock : shiftedClock(systemClock, wrongOn),
    random: systemRandom,
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    drained: async () => {
      if (stream.writableNeedDrain) await once(stream, 'drain');
    },
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.isTTY ? stream.columns : undefined;
    },
    get rows() {
      return stream.isTTY ? stream.rows : undefined;
    },
  };
}

async function readStdin(limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size >= limit) break;
  }
  return Buffer.concat(chunks).subarray(0, limit).toString('utf8');
}

async function ask(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question);
  } finally {
    lines.close();
  }
}
