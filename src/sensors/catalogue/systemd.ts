// Kind `systemd` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';

const systemdSettings = z.strictObject({
  unit: z
    .string()
    .max(255)
    .regex(/^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*$/, 'must be the name of a unit, such as ssh.service')
    .optional()
    .describe('The unit to watch (.service may be left out); without it, whether any unit has failed'),
  expect: z.enum(['active', 'inactive']).default('active').describe('What the unit should be'),
});

export type SystemdSettings = z.infer<typeof systemdSettings>;

export const systemd: SensorDescription<SystemdSettings> = {
  name: 'systemd',
  summary: 'Whether a unit of systemd is active, or whether any has failed',
  settings: systemdSettings,
  metrics: ['active', 'restarts', 'memory', 'failed'],
  defaults: { interval: seconds(60), timeout: seconds(10), thresholds: [] },
};
