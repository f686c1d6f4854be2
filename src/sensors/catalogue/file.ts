// Kind `file` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { filePath } from './fields.js';

const fileSettings = z.strictObject({
  path: filePath.describe('A file, or a directory whose files count together, below the locally allowed directories'),
});

export type FileSettings = z.infer<typeof fileSettings>;

export const file: SensorDescription<FileSettings> = {
  name: 'file',
  summary: 'Age and size of a file, or of the newest file and all files in a directory',
  settings: fileSettings,
  metrics: ['age', 'size', 'count'],
  defaults: { interval: minutes(5), timeout: seconds(20), thresholds: [] },
};
