// Kind `network` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';

const networkSettings = z.strictObject({
  interfaces: z
    .array(z.string().min(1).max(64))
    .min(1)
    .max(64)
    .optional()
    .describe('Interfaces to watch; without it every one with traffic but loopback and containers'),
});

export type NetworkSettings = z.infer<typeof networkSettings>;

export const network: SensorDescription<NetworkSettings> = {
  name: 'network',
  summary: 'Traffic and errors of network interfaces',
  settings: networkSettings,
  metrics: ['*/in', '*/out', '*/errors'],
  defaults: { interval: seconds(60), timeout: seconds(10), thresholds: [] },
};
