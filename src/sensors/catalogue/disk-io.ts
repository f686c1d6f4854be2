// Kind `disk-io` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';

const diskIoSettings = z.strictObject({
  devices: z
    .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9!_.:-]{0,63}$/, 'must be a name such as sda or dm-0'))
    .min(1)
    .max(64)
    .optional()
    .describe('Devices or partitions to watch; without it every disk that has been used'),
});

export type DiskIoSettings = z.infer<typeof diskIoSettings>;

export const diskIo: SensorDescription<DiskIoSettings> = {
  name: 'disk-io',
  summary: 'Bytes and operations per second of disks, how busy they are and how long they take',
  settings: diskIoSettings,
  metrics: ['*/read', '*/written', '*/operations', '*/busy', '*/wait'],
  defaults: { interval: seconds(60), timeout: seconds(10), thresholds: [] },
};
