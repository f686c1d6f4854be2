// Kind `postgresql`: logs in, and asks one query in a read-only transaction. Of the answer, the numbers of its first row
// leave the machine.
import type { Client, ClientConfig, QueryArrayConfig } from 'pg';
import { postgresql as description, type PostgresqlSettings } from '../catalogue/postgresql.js';
import { SensorFault } from '../fault.js';
import type { Measurement, MetricValue, SensorKind, SensorModules } from '../kind.js';
import { critical } from '../network-verdict.js';
import { pgLibrary } from '../pg-library.js';
import { rowValues } from '../row-values.js';
import { secretText } from '../secret-text.js';
import { type ServiceSocket, tlsName, tlsOptions, visit } from '../service-socket.js';

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const LOGIN_REFUSED = /^28/;
/** Of the statement itself, or of what it would change. */
const OF_THE_STATEMENT = /^(?:25|42)/;
/** Of the server and its connections. What others say may quote the tables ("invalid input syntax for type integer"). */
const OF_THE_SERVER = /^(?:08|3D|53|57)/;
/** When the hub has given up, the server does soon, too. */
const MAX_STATEMENT_MS = 30_000;

/** Everything is said here, so that pg asks neither the environment (PG…) nor a password file. */
function clientOf(
  { Client }: typeof import('pg'),
  settings: PostgresqlSettings,
  password: string | undefined,
  socket: ServiceSocket,
): Client {
  const config: ClientConfig = {
    host: tlsName(settings),
    port: settings.port,
    user: settings.user,
    database: settings.database ?? settings.user,
    password: async () => password ?? '',
    ssl: settings.tls ? tlsOptions(settings) : false,
    stream: () => socket as never,
    application_name: 'occ-mesh',
    client_encoding: 'UTF8',
    connectionTimeoutMillis: 0,
  };
  const client = new Client({ ...config, sslnegotiation: 'postgres', binary: false } as ClientConfig);
  const parameters = (client as unknown as { connectionParameters: Record<string, unknown> }).connectionParameters;
  Object.assign(parameters, { options: undefined, replication: undefined });
  return client;
}

async function ask(client: Client, query: string, timeoutMs: number): Promise<{ rows: number; values: MetricValue[] }> {
  const { rows: superuser } = await client.query("SELECT current_setting('is_superuser') AS is");
  if (superuser[0]?.is !== 'off') {
    throw new SensorFault('sensor.refused', 'a query is not run as a superuser', {
      permanent: true,
      advice: 'Make a user for it that may read what it has to, and nothing else.',
    });
  }
  await client.query('BEGIN TRANSACTION READ ONLY');
  await client.query(`SET LOCAL statement_timeout = ${timeoutMs}`);
  // With the extended protocol, a statement is one: what follows a semicolon is an error.
  const asked: QueryArrayConfig = { text: query, rowMode: 'array' };
  const { fields, rows } = await client.query({ ...asked, queryMode: 'extended' } as QueryArrayConfig);
  return {
    rows: rows.length,
    values: rowValues(
      fields.map(({ name }) => name),
      rows[0],
    ),
  };
}

function verdict(thrown: unknown): Measurement {
  const { code = '', message } = thrown as { code?: string; message: string };
  if (LOGIN_REFUSED.test(code)) return critical(`the login is refused: ${message}`);
  // Five characters: an SQLSTATE, so it is the server that speaks.
  if (!/^[0-9A-Z]{5}$/.test(code)) throw thrown;
  if (OF_THE_STATEMENT.test(code)) throw new SensorFault('sensor.unreadable', `the query is wrong: ${message}`);
  return critical(OF_THE_SERVER.test(code) ? `the server says: ${message}` : `the query fails with error ${code}`);
}

async function talk(
  library: typeof import('pg'),
  settings: PostgresqlSettings,
  password: string | undefined,
  socket: ServiceSocket,
  since: (name: string) => MetricValue,
): Promise<Measurement> {
  const values = [since('connect')];
  const client = clientOf(library, settings, password, socket);
  const lost = new Promise<never>((_, reject) => client.on('error', reject));
  lost.catch(() => undefined);
  try {
    await Promise.race([client.connect(), lost]);
    values.push(since('login'));
    if (settings.query !== undefined) {
      const answer = await Promise.race([ask(client, settings.query, MAX_STATEMENT_MS), lost]);
      values.push(since('query'), { name: 'rows', unit: '', value: answer.rows }, ...answer.values);
    }
    return { values };
  } catch (thrown) {
    return { ...verdict(thrown), values };
  } finally {
    // Servers write it into their logs when somebody leaves without a word.
    client.end().catch(() => undefined);
  }
}

async function measure(settings: PostgresqlSettings, { clock }: SensorModules, signal: AbortSignal, password?: string) {
  signal.throwIfAborted();
  // Before there is a connection: once there is one, somebody has to listen to it.
  const library = await pgLibrary();
  return await visit(settings, clock, signal, (socket, since) => talk(library, settings, password, socket, since));
}

export const postgresql: SensorKind<PostgresqlSettings> = {
  ...description,
  create: (settings, modules) => ({
    measure: async (signal, secrets) => measure(settings, modules, signal, await secretText(secrets, 'password')),
  }),
};
