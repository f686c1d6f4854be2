// Kind `certificate` in words and numbers.
import { z } from 'zod';
import { hours, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { ca, host, port, serverName } from './fields.js';

const certificateSettings = z.strictObject({
  host,
  port: port.default(443),
  serverName,
  verify: z.boolean().default(true).describe('Chain and name must be valid'),
  ca,
});

export type CertificateSettings = z.infer<typeof certificateSettings>;

export const certificate: SensorDescription<CertificateSettings> = {
  name: 'certificate',
  summary: "Validity and days left of a TLS server's certificate",
  settings: certificateSettings,
  metrics: ['days-left'],
  defaults: {
    interval: hours(1),
    timeout: seconds(20),
    thresholds: [{ metric: 'days-left', warning: '30:', critical: '7:' }],
  },
};
