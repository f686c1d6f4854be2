// Kind `disk` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';

const diskSettings = z.strictObject({
  mounts: z
    .array(z.string().min(1).max(110))
    .min(1)
    .max(64)
    .optional()
    .describe('Mount points (or drives) to watch; without it every local file system'),
});

export type DiskSettings = z.infer<typeof diskSettings>;

export const disk: SensorDescription<DiskSettings> = {
  name: 'disk',
  summary: 'Space and inodes in use on file systems',
  settings: diskSettings,
  metrics: ['*/used', '*/free', '*/inodes'],
  defaults: {
    interval: minutes(5),
    timeout: seconds(30),
    thresholds: [{ metric: '*/used', warning: '90', critical: '95' }],
  },
};
