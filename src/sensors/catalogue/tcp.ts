// Kind `tcp` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { host, port } from './fields.js';

const tcpSettings = z.strictObject({
  host,
  port,
  send: z.string().max(4_096).optional().describe('Text to send once connected'),
  expect: z.string().min(1).max(4_096).optional().describe('Text that the first 64 KiB of the answer must contain'),
});

export type TcpSettings = z.infer<typeof tcpSettings>;

export const tcp: SensorDescription<TcpSettings> = {
  name: 'tcp',
  summary: 'Whether a TCP port answers, and how fast',
  settings: tcpSettings,
  metrics: ['connect', 'answer'],
  defaults: { interval: seconds(60), timeout: seconds(10), thresholds: [] },
};
