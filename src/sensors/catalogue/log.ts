// Kind `log` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { filePath, pattern } from './fields.js';

const logSettings = z.strictObject({
  path: filePath.describe('The file, below the locally allowed directories'),
  patterns: z
    .record(z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be lower case, at most 32 characters'), pattern)
    .refine((all) => Object.keys(all).length >= 1 && Object.keys(all).length <= 16, 'must be 1 to 16')
    .describe('By name, regular expressions for the first 4,096 characters of lines: {"error": "ERROR|FATAL"}'),
  except: pattern.optional().describe('Lines that match this one do not count'),
  show: z.boolean().default(true).describe('Send the beginning of the last line that matched along'),
});

export type LogSettings = z.infer<typeof logSettings>;

export const log: SensorDescription<LogSettings> = {
  name: 'log',
  summary: 'New lines of a log file that match patterns, since the run before; the first run starts at its end',
  settings: logSettings,
  metrics: ['lines', 'unread', '*/matches'],
  defaults: {
    interval: minutes(1),
    timeout: seconds(20),
    thresholds: [{ metric: '*/matches', warning: '0', critical: '' }],
  },
};
