// Kind `cpu` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { NoSettings, SensorDescription } from '../kind.js';

const cpuSettings = z.strictObject({});

export const cpu: SensorDescription<NoSettings> = {
  name: 'cpu',
  summary: 'Share of time that the processors are busy',
  settings: cpuSettings,
  metrics: ['usage', 'iowait', 'steal'],
  defaults: {
    interval: seconds(60),
    timeout: seconds(10),
    thresholds: [{ metric: 'usage', warning: '90', critical: '98' }],
  },
};
