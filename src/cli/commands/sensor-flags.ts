// The flags that configure a sensor, when it is added and when it is changed.
import type { Command } from 'commander';
import type { Duration } from '../../kernel/duration.js';
import { flagReader, flagsReader } from '../config/settings.js';
import { limit, setting, someTime, wholeNumber } from '../values.js';

export interface SensorFlags {
  readonly set?: readonly (readonly [string, unknown])[];
  readonly warn?: readonly (readonly [string, string])[];
  readonly crit?: readonly (readonly [string, string])[];
  readonly interval?: Duration;
  readonly timeout?: Duration;
  readonly attempts?: number;
}

export function sensorFlags(command: Command): Command {
  const span = flagReader((text) => someTime(text, ''));
  return command
    .option('--set <key=value>', 'a setting; the value is JSON or text (repeatable)', flagsReader(setting))
    .option('--warn <metric=range>', 'WARNING outside of this range (repeatable)', flagsReader(limit))
    .option('--crit <metric=range>', 'CRITICAL outside of this range (repeatable)', flagsReader(limit))
    .option('--interval <duration>', 'how often it runs', span)
    .option('--timeout <duration>', 'how long one run may take', span)
    .option(
      '--attempts <n>',
      'bad readings in a row that are believed, 1 to 10 (default 3)',
      flagReader((text) => wholeNumber(1, 10)(text, '')),
    );
}

export const hasChange = ({ set, warn, crit, interval, timeout, attempts }: SensorFlags): boolean =>
  [set, warn, crit, interval, timeout, attempts].some((value) => value !== undefined);

/** The settings with what was set and without what was taken away. */
export function settingsWith(
  settings: Readonly<Record<string, unknown>>,
  { set = [] }: SensorFlags,
  unset: readonly string[] = [],
): Record<string, unknown> {
  const kept = Object.entries(settings).filter(([key]) => !unset.includes(key));
  return Object.fromEntries([...kept, ...set]);
}
