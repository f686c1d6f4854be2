// Kind `mysql`: logs in to a MySQL or MariaDB server, and asks one query in a read-only transaction. Of the answer, the
// numbers of its first row leave the machine.
import type { Connection, ConnectionOptions, FieldPacket } from 'mysql2/promise';
import { defined } from '../../kernel/defined.js';
import { mysql as description, type MysqlSettings } from '../catalogue/mysql.js';
import { SensorFault } from '../fault.js';
import type { Measurement, MetricValue, SensorKind, SensorModules } from '../kind.js';
import { critical } from '../network-verdict.js';
import { rowValues } from '../row-values.js';
import { secretText } from '../secret-text.js';
import { type ServiceSocket, tlsName, visit } from '../service-socket.js';

/** https://mariadb.com/docs/server/reference/error-codes */
const LOGIN_REFUSED = new Set([1044, 1045, 1049, 1130, 1251, 1698, 1820, 1862, 3118, 4151]);
/** Of the statement itself, or of what it would change. Others may quote what is in the tables. */
const OF_THE_STATEMENT = new Set([1046, 1054, 1064, 1142, 1143, 1146, 1227, 1305, 1370, 1792]);
/** When the hub has given up, the server does soon, too. */
const MAX_STATEMENT_S = 30;

function optionsOf(settings: MysqlSettings, password: string | undefined, socket: ServiceSocket): ConnectionOptions {
  return {
    stream: socket,
    host: tlsName(settings),
    user: settings.user,
    password: password ?? '',
    ...defined({ database: settings.database }),
    ...(settings.tls
      ? {
          ssl: {
            rejectUnauthorized: settings.verifyTls,
            verifyIdentity: settings.verifyTls,
            ...defined({ ca: settings.ca }),
          },
        }
      : {}),
    // One statement at a time, and no server may ask for a file of this machine.
    flags: ['-LOCAL_FILES', '-MULTI_STATEMENTS'],
    multipleStatements: false,
    enableCleartextPlugin: false,
    connectTimeout: 0,
    rowsAsArray: true,
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
  };
}

async function ask(connection: Connection, query: string): Promise<{ rows: number; values: MetricValue[] }> {
  const [version] = await connection.query('SELECT VERSION()');
  const mariaDb = JSON.stringify(version).includes('MariaDB');
  const limit = mariaDb ? `max_statement_time = ${MAX_STATEMENT_S}` : `max_execution_time = ${MAX_STATEMENT_S * 1_000}`;
  await connection.query(`SET SESSION ${limit}`);
  await connection.query('START TRANSACTION READ ONLY');
  const [rows, fields] = (await connection.query(query)) as unknown as [unknown[][], FieldPacket[]];
  return {
    rows: rows.length,
    values: rowValues(
      fields.map(({ name }) => name),
      rows[0],
    ),
  };
}

function verdict(thrown: unknown): Measurement {
  const { errno, sqlState, message } = thrown as { errno?: number; sqlState?: string; message: string };
  // Others are of the connection.
  if (errno === undefined || sqlState === undefined) throw thrown;
  if (LOGIN_REFUSED.has(errno)) return critical(`the login is refused: ${message}`);
  if (OF_THE_STATEMENT.has(errno)) throw new SensorFault('sensor.unreadable', `the query is wrong: ${message}`);
  return critical(`the query fails with error ${errno}`);
}

async function talk(
  { createConnection }: typeof import('mysql2/promise'),
  settings: MysqlSettings,
  password: string | undefined,
  socket: ServiceSocket,
  since: (name: string) => MetricValue,
): Promise<Measurement> {
  const values = [since('connect')];
  let connection: Connection | undefined;
  try {
    connection = await createConnection(optionsOf(settings, password, socket));
    // What ends the connection ends the call that waits as well.
    connection.on('error' as never, () => undefined);
    values.push(since('login'));
    if (settings.query !== undefined) {
      const answer = await ask(connection, settings.query);
      values.push(since('query'), { name: 'rows', unit: '', value: answer.rows }, ...answer.values);
    }
    return { values };
  } catch (thrown) {
    return { ...verdict(thrown), values };
  } finally {
    // Servers write it into their logs when somebody leaves without a word.
    connection?.end().catch(() => undefined);
  }
}

async function measure(settings: MysqlSettings, { clock }: SensorModules, signal: AbortSignal, password?: string) {
  signal.throwIfAborted();
  // Before there is a connection: once there is one, somebody has to listen to it.
  const library = await import('mysql2/promise');
  return await visit(settings, clock, signal, (socket, since) => talk(library, settings, password, socket, since));
}

export const mysql: SensorKind<MysqlSettings> = {
  ...description,
  create: (settings, modules) => ({
    measure: async (signal, secrets) => measure(settings, modules, signal, await secretText(secrets, 'password')),
  }),
};
