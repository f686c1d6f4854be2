// Kind `redis` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { ca, host, port, serverName, tls, user, verifyTls } from './fields.js';
import { serviceTarget } from './services.js';

const redisSettings = z.strictObject({
  host,
  port: port.default(6_379),
  user: user.optional().describe('Who logs in; without it the default user, and only if a password has been entered'),
  tls,
  verifyTls,
  ca,
  serverName,
});

export type RedisSettings = z.infer<typeof redisSettings>;

export const redis: SensorDescription<RedisSettings> = {
  name: 'redis',
  summary: 'Whether a Redis or Valkey server takes a login and answers, and what it holds',
  settings: redisSettings,
  metrics: ['login', 'answer', 'memory', 'clients', 'blocked', 'keys', 'uptime'],
  secrets: {
    fields: { password: { summary: 'Password of the user, or of the server', required: false } },
    target: (settings) => ({ ...serviceTarget(settings), user: settings.user ?? '' }),
  },
  defaults: { interval: minutes(1), timeout: seconds(15), thresholds: [] },
};
