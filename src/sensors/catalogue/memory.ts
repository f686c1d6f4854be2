// Kind `memory` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { NoSettings, SensorDescription } from '../kind.js';

const memorySettings = z.strictObject({});

export const memory: SensorDescription<NoSettings> = {
  name: 'memory',
  summary: 'Memory and swap in use',
  settings: memorySettings,
  metrics: ['usage', 'available', 'swap'],
  defaults: {
    interval: seconds(60),
    timeout: seconds(10),
    thresholds: [{ metric: 'usage', warning: '90', critical: '95' }],
  },
};
