// What can go wrong on the command line itself. Everything below it has faults of its own.
import { defined } from '../kernel/defined.js';
import { Fault } from '../kernel/fault.js';

export type CliCode =
  /** Arguments that make no sense. */
  | 'cli.usage'
  /** A configuration file, or a file named on the command line, cannot be used. */
  | 'cli.config'
  /** The data directory cannot be used. */
  | 'cli.data'
  /** Nothing has the name or id that was given. */
  | 'cli.not-found'
  /** More than one thing has it. */
  | 'cli.ambiguous'
  /** A file or question stands in the way of what was asked for. */
  | 'cli.refused'
  /** It was done, and failed; the answer says why. */
  | 'cli.failed'
  /** Ended by a signal before it was done. */
  | 'cli.interrupted';

export class CliFault extends Fault<CliCode> {
  constructor(
    code: CliCode,
    message: string,
    { advice, cause }: { readonly advice?: string | undefined; readonly cause?: unknown } = {},
  ) {
    super(code, message, { permanent: true, cause, ...defined({ advice }) });
  }
}

export const usage = (message: string, advice?: string): CliFault => new CliFault('cli.usage', message, { advice });
