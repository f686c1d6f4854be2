// Kind `load` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { NoSettings, SensorDescription } from '../kind.js';

const loadSettings = z.strictObject({});

export const load: SensorDescription<NoSettings> = {
  name: 'load',
  summary: 'Load averages and time since the machine started',
  settings: loadSettings,
  metrics: ['load1', 'load5', 'load15', 'load5-per-core', 'uptime'],
  defaults: { interval: seconds(60), timeout: seconds(5), thresholds: [] },
};
