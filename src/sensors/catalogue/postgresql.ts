// Kind `postgresql` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { ca, host, port, query, serverName, tls, user, verifyTls } from './fields.js';
import { serviceTarget } from './services.js';

const postgresqlSettings = z.strictObject({
  host,
  port: port.default(5_432),
  user: user.describe('Who logs in; a query is not run as a superuser'),
  database: user.optional().describe('Default: named like the user'),
  query,
  tls,
  verifyTls,
  ca,
  serverName,
});

export type PostgresqlSettings = z.infer<typeof postgresqlSettings>;

export const postgresql: SensorDescription<PostgresqlSettings> = {
  name: 'postgresql',
  summary: 'Whether a PostgreSQL server takes a login, and what a query answers',
  settings: postgresqlSettings,
  metrics: ['connect', 'login', 'query', 'rows', 'value/*'],
  secrets: {
    fields: { password: { summary: 'Password of the user', required: false } },
    target: (settings) => ({
      ...serviceTarget(settings),
      user: settings.user,
      database: settings.database ?? settings.user,
    }),
  },
  defaults: { interval: minutes(1), timeout: seconds(15), thresholds: [] },
};
