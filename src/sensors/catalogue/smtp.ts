// Kind `smtp` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { ca, host, port, serverName, user, verifyTls } from './fields.js';
import { serviceTarget } from './services.js';

const smtpSettings = z.strictObject({
  host,
  port: port.default(587),
  user: user.optional().describe('Who logs in; without it the server only has to answer'),
  tls: z
    .enum(['starttls', 'implicit', 'off'])
    .default('starttls')
    .describe(
      'Encrypt after a greeting (587, 25), from the beginning (465), or not: then everybody can read the password',
    ),
  verifyTls,
  ca,
  serverName,
});

export type SmtpSettings = z.infer<typeof smtpSettings>;

export const smtp: SensorDescription<SmtpSettings> = {
  name: 'smtp',
  summary: 'Whether a mail server answers and takes a login; no mail is sent',
  settings: smtpSettings,
  metrics: ['connect', 'login'],
  secrets: {
    fields: { password: { summary: 'Password of the user', required: false } },
    target: (settings) => ({ ...serviceTarget(settings), user: settings.user ?? '' }),
  },
  defaults: { interval: minutes(5), timeout: seconds(30), thresholds: [] },
};
