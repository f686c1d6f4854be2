// Programs of the benchmark that run as processes of their own, and are asked to do things: a program names what it can
// do in an object of functions, whoever starts it calls them by name, with plain data as arguments and answers.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import type { Stoppable } from '../../src/kernel/scope.js';

/** Each with an argument of its own. */
type Abilities = { readonly [name: string]: (argument: never) => Promise<unknown> };

interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

type Answer = { readonly id: number } & ({ readonly value: unknown } | { readonly error: string });

/** In the program: does what it is asked until whoever asks is gone; then `end`, and out. */
export function serve(abilities: Abilities, end: () => Promise<void> = async () => undefined): void {
  const answer = (message: Answer) => process.connected && process.send?.(message);
  process.on('message', ({ id, name, argument }: Question) => {
    const ability = abilities[name] ?? (() => Promise.reject(new Error(`this program cannot ${name}`)));
    ability(argument as never).then(
      (value) => answer({ id, value }),
      (thrown) => answer({ id, error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) }),
    );
  });
  // Ctrl-C reaches everybody; this program ends when whoever started it lets go of it.
  process.on('SIGINT', () => undefined);
  process.on('disconnect', () => {
    void end().finally(() => process.exit());
  });
}

export interface ProgramOptions {
  /** Its file in programs/, without the ending. */
  readonly name: string;
  /** Where its output goes. */
  readonly logFile: string;
  /** Arguments of node, before the program. */
  readonly execArgv?: readonly string[];
}

/** A running program, by the type of what it can do. */
export class Program<A extends Abilities> implements Stoppable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #asked = 0;

  constructor(
    private readonly options: ProgramOptions,
    private readonly clock: Clock,
  ) {
    const { name, logFile, execArgv = [] } = options;
    const output = openSync(logFile, 'a');
    const beside = fileURLToPath(new URL(`./programs/${name}.js`, import.meta.url));
    // Tests run the sources; programs are compiled.
    const file = existsSync(beside) ? beside : beside.replace('/test/bench/', '/dist/test/bench/');
    this.#child = spawn(process.execPath, [...execArgv, file], { stdio: ['ignore', output, output, 'ipc'] });
    closeSync(output);
    this.#child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('error' in answer) waiting?.reject(new Error(`${name}: ${answer.error}`));
      else waiting?.resolve(answer.value);
    });
    this.#child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${name} has ended (${code ?? signal})`));
      this.#waiting.clear();
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.options.name} could not be started`);
    return pid;
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Asks the program; rejects with its error, or when it ends first. */
  ask<N extends keyof A & string>(name: N, argument: Parameters<A[N]>[0]): Promise<Awaited<ReturnType<A[N]>>> {
    if (this.#ended) return Promise.reject(new Error(`${this.options.name} has ended`));
    const id = this.#asked++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ id, name, argument } satisfies Question);
    });
  }

  /** Lets go of it; killed when it takes too long to end. */
  async stop(): Promise<void> {
    if (this.#ended) return;
    const over = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    const hurry = this.clock.after(seconds(15), () => this.#child.kill('SIGKILL'));
    await over;
    hurry.disarm();
  }
}
