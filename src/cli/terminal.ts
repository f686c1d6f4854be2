// What the program has around itself: streams, environment, signals. The real one is in process-terminal.ts; commands
// take theirs as an argument, so that tests can hold them in their hands.
import type { Clock } from '../kernel/clock.js';
import type { Random } from '../kernel/random.js';

export interface Output {
  write(text: string): void;
  /** Resolves when whoever reads it has room for more. */
  drained(): Promise<void>;
  /** Somebody is looking: colours and layout make sense. */
  readonly isTerminal: boolean;
  /** Of the terminal; undefined when it is none. */
  readonly columns: number | undefined;
  readonly rows: number | undefined;
}

export interface Terminal {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly cwd: string;
  readonly home: string;
  readonly hostname: string;
  readonly platform: NodeJS.Platform;
  /** Standard input up to its end, at most `limit` bytes of it. */
  readStdin(limit: number): Promise<string>;
  /**
   * A secret, at most `limit` bytes of it: typed without an echo after a question, or where nobody is there from standard
   * input up to its end, without a line end at the end. Never becomes a string; the caller wipes it. Undefined: given up.
   */
  readSecret(question: string, limit: number): Promise<Buffer | undefined>;
  /** Asks a question and reads a line; undefined when nobody is there to answer. */
  ask(question: string): Promise<string | undefined>;
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly interrupted: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
}

/** https://no-color.org */
export const wantsColour = (terminal: Terminal): boolean =>
  terminal.stdout.isTerminal && !terminal.env.NO_COLOR && terminal.env.TERM !== 'dumb';
