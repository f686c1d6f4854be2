// Kind `exec` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';

const execSettings = z.strictObject({
  program: z.string().min(1).max(1_024).describe('File below one of the locally allowed directories'),
  args: z.array(z.string().max(4_096)).max(64).default([]).describe('One argument each; no shell reads them'),
});

export type ExecSettings = z.infer<typeof execSettings>;

export const exec: SensorDescription<ExecSettings> = {
  name: 'exec',
  summary: 'A monitoring plugin (Nagios, Icinga, Naemon)',
  settings: execSettings,
  defaults: { interval: minutes(5), timeout: seconds(30), thresholds: [] },
};
