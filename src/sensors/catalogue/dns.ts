// Kind `dns` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { isAddress, port } from './fields.js';

const dnsSettings = z.strictObject({
  name: z
    .string()
    .max(254)
    .regex(/^[A-Za-z0-9_:*.-]+$/, 'must be a name, or for PTR an IP address')
    .describe('What to ask for'),
  type: z.enum(['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT']).default('A'),
  server: z
    .string()
    .refine(isAddress, 'must be an IP address')
    .optional()
    .describe("Name server to ask; default this machine's own"),
  port: port.default(53),
  expect: z
    .array(z.string().min(1).max(1_024))
    .min(1)
    .max(32)
    .optional()
    .describe('The answers that must come, all of them and no others: "192.0.2.1", "10 mail.example.net" (MX)'),
});

export type DnsSettings = z.infer<typeof dnsSettings>;

export const dns: SensorDescription<DnsSettings> = {
  name: 'dns',
  summary: 'Whether a name server answers as it should, and how fast',
  settings: dnsSettings,
  metrics: ['time', 'answers'],
  defaults: { interval: minutes(1), timeout: seconds(15), thresholds: [] },
};
