// Kind `mysql` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { ca, host, isAddress, port, query, serverName, tls, user, verifyTls } from './fields.js';
import { serviceTarget } from './services.js';

const mysqlFields = z.strictObject({
  host,
  port: port.default(3_306),
  user: user.describe('Who logs in'),
  database: user.optional(),
  query,
  tls,
  verifyTls,
  ca,
  serverName,
});
const mysqlSettings = mysqlFields.refine(
  (s) => !s.tls || !s.verifyTls || !isAddress(s.serverName ?? s.host),
  'where the host is an address, serverName says which name its certificate has',
);

export type MysqlSettings = z.infer<typeof mysqlSettings>;

export const mysql: SensorDescription<MysqlSettings> = {
  name: 'mysql',
  summary: 'Whether a MySQL or MariaDB server takes a login, and what a query answers',
  settings: mysqlSettings,
  metrics: ['connect', 'login', 'query', 'rows', 'value/*'],
  secrets: {
    fields: { password: { summary: 'Password of the user', required: false } },
    target: (settings) => ({ ...serviceTarget(settings), user: settings.user, database: settings.database ?? '' }),
  },
  defaults: { interval: minutes(1), timeout: seconds(15), thresholds: [] },
};
