// A setting is said once: its flag, its words, how it is read. Out of that come the flags of a command and the keys of
// its configuration file, so that both always know the same things.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { BadValue, type Reader } from '../values.js';

export interface Setting<T> {
  /** As commander reads them: `--listen <host:port>`. */
  readonly flags: string;
  readonly text: string;
  /** Not in the help: for tests. */
  readonly hidden: boolean;
  /** A configuration file's value; relative paths in it are taken from `base`. */
  readonly inFile: (base: string) => z.ZodType<T>;
  /** A flag's value, joined to what earlier ones of the same flag gave. */
  readonly onCommandLine: ((base: string) => (text: string, before: unknown) => T) | undefined;
}

export type Settings = { readonly [key: string]: Setting<unknown> };
/** What was said, anywhere. */
export type ValuesOf<S extends Settings> = { readonly [K in keyof S]?: S[K] extends Setting<infer T> ? T : never };

interface Details {
  readonly hidden?: boolean;
}

/** One value. */
export function one<T>(flags: string, text: string, read: Reader<T>, { hidden = false }: Details = {}): Setting<T> {
  return {
    flags,
    text,
    hidden,
    inFile: (base) => scalar(read, base),
    onCommandLine: (base) => (given) => fromFlag(read, given, base),
  };
}

/** Any number of values: a repeated flag, a list in a file. */
export function many<T>(flags: string, text: string, read: Reader<T>): Setting<readonly T[]> {
  return {
    flags,
    text: `${text} (repeatable)`,
    hidden: false,
    inFile: (base) => z.array(scalar(read, base)),
    onCommandLine: (base) => (given, before) => [
      ...((before as readonly T[] | undefined) ?? []),
      fromFlag(read, given, base),
    ],
  };
}

/** Yes or no: a flag without a value (`--no-direct`), true or false in a file. */
export function toggle(flags: string, text: string): Setting<boolean> {
  return { flags, text, hidden: false, inFile: () => z.boolean(), onCommandLine: undefined };
}

/** YAML makes numbers of what looks like one; readers take text. */
function scalar<T>(read: Reader<T>, base: string): z.ZodType<T> {
  return z.union([z.string(), z.number()]).transform((given, context) => {
    try {
      return read(String(given), base);
    } catch (thrown) {
      if (!(thrown instanceof BadValue)) throw thrown;
      context.addIssue({ code: 'custom', message: thrown.message });
      return z.NEVER;
    }
  });
}

function fromFlag<T>(read: Reader<T>, text: string, base: string): T {
  try {
    return read(text, base);
  } catch (thrown) {
    throw thrown instanceof BadValue ? new InvalidArgumentError(`${capitalised(thrown.message)}.`) : thrown;
  }
}

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** A reader as commander wants it, for options that no file has. */
export const flagReader =
  <T>(read: (text: string) => T) =>
  (text: string): T =>
    fromFlag((given) => read(given), text, '');

/** The same for options that may be repeated. */
export const flagsReader =
  <T>(read: (text: string) => T) =>
  (text: string, before: readonly T[] = []): readonly T[] => [...before, fromFlag((given) => read(given), text, '')];

/** Adds the settings to a command as flags. */
export function addFlags(command: Command, settings: Settings, base: string): void {
  for (const setting of Object.values(settings)) {
    const option = optionOf(setting);
    if (setting.onCommandLine) option.argParser(setting.onCommandLine(base));
    command.addOption(setting.hidden ? option.hideHelp() : option);
  }
}

/** What the command line says; flags that were not given are absent. */
export function flagValues<S extends Settings>(command: Command, settings: S): ValuesOf<S> {
  const values = Object.entries(settings).flatMap(([key, setting]) => {
    const name = optionOf(setting).attributeName();
    return command.getOptionValueSource(name) === 'cli' ? [[key, command.getOptionValue(name)]] : [];
  });
  return Object.fromEntries(values) as ValuesOf<S>;
}

const optionOf = (setting: Setting<unknown>): Option => new Option(setting.flags, setting.text);

/** What a configuration file with these settings may hold. */
export function fileSchema(settings: Settings, base: string): z.ZodType<Record<string, unknown>> {
  const keys = Object.entries(settings).map(([key, setting]) => [key, setting.inFile(base).optional()]);
  return z.strictObject(Object.fromEntries(keys));
}
