// The base of all errors that the program itself raises: a code from a closed union, and what can be done about it.
// How a fault becomes a gRPC status is decided once, in src/contract/status.ts.

export interface FaultOptions {
  readonly cause?: unknown;
  /** Trying the same again cannot help. Default false. */
  readonly permanent?: boolean;
  /** The next step for whoever reads the message: one sentence, imperative. */
  readonly advice?: string;
  /** Which field of the request is meant, as the proto names it: `sensor.interval_ms`. The message begins with it. */
  readonly field?: string | undefined;
}

/** An area derives its own class with its own union of codes: `class WalFault extends Fault<'wal.full' | …> {}`. */
export abstract class Fault<Code extends string = string> extends Error {
  readonly code: Code;
  readonly permanent: boolean;
  readonly advice: string | undefined;
  readonly field: string | undefined;

  constructor(code: Code, message: string, options: FaultOptions = {}) {
    super(
      options.field === undefined ? message : `${options.field}: ${message}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = new.target.name;
    this.code = code;
    this.permanent = options.permanent ?? false;
    this.advice = options.advice;
    this.field = options.field;
  }
}

/** Any thrown value as an Error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The message of an error followed by what its causes add to it, for one line of a log or a terminal. */
export function describe(thrown: unknown): string {
  const parts: string[] = [];
  for (
    let at: unknown = thrown;
    at !== undefined && parts.length < 5;
    at = at instanceof Error ? at.cause : undefined
  ) {
    const { message } = toError(at);
    // A fault often repeats what it wraps, to be readable on its own.
    if (!parts.some((part) => part.includes(message))) parts.push(message);
  }
  return parts.join(': ');
}

/** For the branch of a switch that the types say cannot be reached. */
export function unreachable(value: never): never {
  throw new TypeError(`unexpected value ${String(value)}`);
}
