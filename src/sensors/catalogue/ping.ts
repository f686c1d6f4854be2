// Kind `ping` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { host } from './fields.js';

const pingSettings = z.strictObject({
  host,
  count: z.int().min(1).max(20).default(3).describe('Packets per run'),
  family: z.enum(['any', 'ipv4', 'ipv6']).default('any'),
});

export type PingSettings = z.infer<typeof pingSettings>;

export const ping: SensorDescription<PingSettings> = {
  name: 'ping',
  summary: 'Round-trip time and loss of ICMP packets',
  settings: pingSettings,
  metrics: ['loss', 'rtt', 'rtt-min', 'rtt-max'],
  defaults: {
    interval: seconds(60),
    timeout: seconds(20),
    thresholds: [{ metric: 'loss', warning: '20', critical: '60' }],
  },
};
