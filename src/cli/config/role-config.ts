// The settings of a role, from its configuration file and its flags. Flags win.
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { createLogger, type Logger } from '../../kernel/log.js';
import type { RoleName } from '../places.js';
import type { Terminal } from '../terminal.js';
import { path } from '../values.js';
import { addFlags, fileSchema, flagReader, flagValues, type Settings, type ValuesOf } from './settings.js';

/** Gives a command its flags, `--config` first. */
export function addRoleFlags(command: Command, settings: Settings, terminal: Terminal): void {
  const config = new Option('--config <file>', 'YAML file with the same settings as the flags below');
  command.addOption(config.argParser(flagReader((text) => path(text, terminal.cwd))));
  addFlags(command, settings, terminal.cwd);
}

/** Faults: cli.config. */
export async function roleValues<S extends Settings>(command: Command, settings: S): Promise<ValuesOf<S>> {
  const file: unknown = command.getOptionValue('config');
  const flags = flagValues(command, settings);
  if (typeof file !== 'string') return flags;
  // Many run without a file; what reads YAML is large.
  const { loadYaml } = await import('./load.js');
  const inFile = await loadYaml(file, fileSchema(settings, dirname(file)), Object.keys(settings));
  return { ...(inFile as ValuesOf<S>), ...flags };
}

/** The log of a role: on standard error, for people when they are looking. */
export function roleLog(
  role: RoleName,
  values: { readonly logLevel?: Parameters<typeof createLogger>[0]['level']; readonly logFormat?: string },
  terminal: Terminal,
): Promise<Logger> {
  const { logLevel = 'info', logFormat = 'auto' } = values;
  const pretty = logFormat === 'pretty' || (logFormat === 'auto' && terminal.stderr.isTerminal);
  return createLogger({ role, level: logLevel, pretty });
}
