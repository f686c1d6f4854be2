// Kind `snmp` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { host, port, user } from './fields.js';

const oids = z
  .record(
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'must be a name of letters, digits, points and dashes'),
    z.string().regex(/^[0-2](?:\.\d{1,10}){1,127}$/, 'must be an OID in numbers, such as 1.3.6.1.2.1.1.3.0'),
  )
  .refine((all) => Object.keys(all).length >= 1 && Object.keys(all).length <= 32, 'must be 1 to 32');

const snmpFields = z.strictObject({
  host,
  port: port.default(161),
  version: z.enum(['2c', '3']).default('3').describe('2c sends its community, and everything else, unencrypted'),
  user: user.optional().describe('Who asks, with version 3'),
  auth: z
    .enum(['none', 'md5', 'sha', 'sha224', 'sha256', 'sha384', 'sha512'])
    .default('sha256')
    .describe('How the user proves it, with version 3'),
  priv: z
    .enum(['none', 'des', 'aes', 'aes256b', 'aes256r'])
    .default('aes')
    .describe('How it is encrypted, with version 3 (b and r: Blumenthal and Reeder)'),
  oids: oids
    .default({ uptime: '1.3.6.1.2.1.1.3.0' })
    .describe('By name, what to ask for; of a counter the rate per second is measured'),
});
const snmpSettings = snmpFields
  .refine((s) => (s.version === '3') === (s.user !== undefined), 'user belongs to version 3, which needs it')
  .refine((s) => s.auth !== 'none' || s.priv === 'none', 'without auth there is no priv');

export type SnmpSettings = z.infer<typeof snmpSettings>;

export const snmp: SensorDescription<SnmpSettings> = {
  name: 'snmp',
  summary: 'Values of a device that speaks SNMP',
  settings: snmpSettings,
  metrics: ['time', 'value/*'],
  secrets: {
    fields: {
      community: { summary: 'Community, with version 2c', required: false },
      'auth-password': { summary: 'Password for auth', required: false },
      'priv-password': { summary: 'Password for priv', required: false },
    },
    target: ({ host, port, version, user = '', auth, priv }) => ({
      ...{ host, port: String(port), version, user, auth, priv },
    }),
  },
  defaults: { interval: minutes(1), timeout: seconds(20), thresholds: [] },
};
