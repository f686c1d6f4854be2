// Kind `process` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { pattern } from './fields.js';

const processSettings = z
  .strictObject({
    name: z.string().min(1).max(256).optional().describe("The program's name, exactly"),
    pattern: pattern
      .optional()
      .describe('Regular expression, matched against the first 1,024 characters of command lines'),
  })
  .refine((s) => (s.name === undefined) !== (s.pattern === undefined), 'needs either name or pattern');

export type ProcessSettings = z.infer<typeof processSettings>;

export const process: SensorDescription<ProcessSettings> = {
  name: 'process',
  summary: 'Number, processor time and memory of the processes of a program',
  settings: processSettings,
  metrics: ['count', 'cpu', 'memory'],
  defaults: {
    interval: seconds(60),
    timeout: seconds(20),
    thresholds: [{ metric: 'count', warning: '', critical: '1:' }],
  },
};
