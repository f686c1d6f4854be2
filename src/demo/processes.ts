// Runs the program's roles as real processes, for the demo and for tests: started with their output in a file, watched,
// stopped or killed, and never left behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, sleep } from '../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';

// Always the compiled program: from dist/src/demo, and from src/demo when a test runs this file as it is.
const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = HERE.includes(`${sep}dist${sep}src${sep}`) ? join(HERE, '../../..') : join(HERE, '../..');
export const PROGRAM: string = join(ROOT, 'dist/src/cli/main.js');

export interface ProcessOptions {
  /** For people and for the log's name. */
  readonly name: string;
  /** Arguments of `occ`. */
  readonly args: readonly string[];
  /** Where its output goes. */
  readonly logFile: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Instead of starting node directly: a program and its first arguments, such as a shell that sets limits. */
  readonly wrap?: readonly string[];
}

/** One role as a process. */
export class RoleProcess {
  #child: ChildProcess | undefined;

  constructor(
    readonly options: ProcessOptions,
    private readonly clock: Clock,
  ) {}

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get exitCode(): number | null {
    return this.#child?.exitCode ?? null;
  }

  start(more: readonly string[] = []): void {
    if (this.running) throw new Error(`${this.options.name} is running already`);
    const { wrap = [], args, logFile, env = {} } = this.options;
    const output = openSync(logFile, 'a');
    const [command = process.execPath, ...first] = [...wrap, process.execPath];
    this.#child = spawn(command, [...first, PROGRAM, ...args, ...more], {
      stdio: ['ignore', output, output],
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    });
    closeSync(output);
  }

  /** As an operator does it; killed when it takes too long. */
  async stop(patience: Duration = seconds(15)): Promise<void> {
    await this.#end('SIGTERM', patience);
  }

  /** Without warning. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL', seconds(5));
  }

  /** Suspends it: it holds its connections and does nothing. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  log(): Promise<string> {
    return readFile(this.options.logFile, 'utf8').catch(() => '');
  }

  /** Resolves when its output has a line that matches; rejects when it ends first, or takes too long. */
  async untilLog(pattern: RegExp, within: Duration): Promise<void> {
    await until(
      async () => {
        if (pattern.test(await this.log())) return true;
        if (!this.running)
          throw new Error(`${this.options.name} ended (${this.exitCode}): ${(await this.log()).slice(-2_000)}`);
        return false;
      },
      within,
      this.clock,
      () => `${this.options.name} never said ${pattern}`,
    );
  }

  async #end(signal: NodeJS.Signals, patience: Duration): Promise<void> {
    const child = this.#child;
    if (!child || !this.running) return;
    const over = once(child, 'exit');
    child.kill(signal);
    const hurry = this.clock.after(patience, () => child.kill('SIGKILL'));
    await over;
    hurry.disarm();
  }
}

/** Polls a condition that other processes fulfil. */
export async function until(
  condition: () => Promise<boolean>,
  within: Duration,
  clock: Clock,
  failure: () => string | Promise<string>,
): Promise<void> {
  const deadline = clock.monotonic() + within;
  while (!(await condition())) {
    if (clock.monotonic() > deadline) throw new Error(await failure());
    await sleep(clock, milliseconds(100));
  }
}
