// Other people's programs: whether they are here, and what came of running them.
import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { Context } from 'mocha';

export const ROOT = resolve(import.meta.dirname, '../..');

export interface RunOptions {
  readonly cwd?: string;
  /** For its standard input. */
  readonly input?: string;
  /** Milliseconds until it is killed. */
  readonly patience?: number;
  /** Told everything that it has said on standard output so far, each time there is more. */
  readonly onOutput?: (stdout: string) => void;
}

export interface Outcome {
  /** Exit code; -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Rejects only when it cannot be started. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { cwd = ROOT, input = '', patience = 30_000, onOutput } = options;
  return new Promise((done, failed) => {
    const child = spawn(program, args, { cwd, timeout: patience, killSignal: 'SIGKILL' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      onOutput?.(stdout);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // It may end without reading.
    child.stdin.on('error', () => undefined).end(input);
    child.on('error', failed);
    child.on('close', (code) => done({ code: code ?? -1, stdout, stderr }));
  });
}

/** A thing that a test needs and npm cannot bring. */
export interface Tool {
  /** The Debian package that has it. */
  readonly debian: string;
  /** Resolves when it is here. */
  readonly here: () => Promise<boolean>;
}

/** A program in PATH, or a file by its absolute path. */
export function program(name: string, debian: string): Tool {
  const places = isAbsolute(name) ? [name] : (process.env.PATH ?? '').split(delimiter).map((at) => join(at, name));
  const mode = isAbsolute(name) ? constants.R_OK : constants.X_OK;
  const found = (path: string) =>
    access(path, mode).then(
      () => true,
      () => false,
    );
  return { debian, here: async () => (await Promise.all(places.map(found))).includes(true) };
}

/** For `before`: without its tools a suite is skipped, loudly; where nobody is there to read that (CI), it fails. */
export async function needs(context: Context, tools: readonly Tool[]): Promise<void> {
  const answers = await Promise.all(tools.map(async (tool) => ((await tool.here()) ? [] : [tool.debian])));
  const missing = [...new Set(answers.flat())];
  if (missing.length === 0) return;
  const words = `not here, on Debian: apt-get install ${missing.join(' ')}`;
  if (process.env.CI) throw new Error(words);
  process.stderr.write(`    SKIPPED: ${words}\n`);
  context.skip();
}
