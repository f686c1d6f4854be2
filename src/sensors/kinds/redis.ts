// Kind `redis`: logs in, asks for a sign of life and for what the server says of itself (INFO).
import type { RedisClientOptions } from '@redis/client';
import { redis as description, type RedisSettings } from '../catalogue/redis.js';
import type { Measurement, MetricValue, SensorKind, SensorModules } from '../kind.js';
import { critical, verdictOn } from '../network-verdict.js';
import { round } from '../rounding.js';
import { secretText } from '../secret-text.js';
import { boundedRead, ServiceSocket, tlsName, tlsOptions, untilAborted } from '../service-socket.js';

const REFUSED = /^(?:WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/;
const NOT_ALLOWED = /^NOPERM/;

/** INFO: KEY:VALUE lines, of which these are of interest. */
export function infoValues(info: string): { values: MetricValue[]; masterIsLost: boolean } {
  const facts = new Map(info.split(/\r?\n/).map((line) => [line.split(':', 1)[0], line.slice(line.indexOf(':') + 1)]));
  const number = (name: string, unit: string, key: string): MetricValue[] =>
    /^\d{1,15}$/.test(facts.get(key) ?? '') ? [{ name, unit, value: Number(facts.get(key)) }] : [];
  // db0:keys=3,expires=0,…
  const keys = [...info.matchAll(/^db\d+:keys=(\d{1,15}),/gm)].reduce((sum, match) => sum + Number(match[1]), 0);
  return {
    values: [
      ...number('memory', 'By', 'used_memory'),
      ...number('clients', '', 'connected_clients'),
      ...number('blocked', '', 'blocked_clients'),
      { name: 'keys', unit: '', value: keys },
      ...number('uptime', 's', 'uptime_in_seconds'),
    ],
    masterIsLost: facts.get('master_link_status') === 'down',
  };
}

async function optionsOf(
  settings: RedisSettings,
  password: string | undefined,
  socket: ServiceSocket | undefined,
): Promise<RedisClientOptions> {
  const { host, port } = settings;
  const once = { host, port, reconnectStrategy: false, connectTimeout: 600_000 } as const;
  const encrypted = { ...tlsOptions(settings), host: tlsName(settings), tls: true, socket };
  return {
    socket: (socket ? { ...once, ...encrypted } : { ...once, read: boundedRead }) as never,
    ...(password === undefined ? {} : { password, username: settings.user ?? 'default' }),
    // The oldest, which every server knows.
    RESP: 2 as never,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  };
}

function verdict(thrown: unknown, values: MetricValue[], signal: AbortSignal): Measurement {
  const { message, code } = thrown as NodeJS.ErrnoException;
  // An answer that is an error begins with one word in capitals.
  const isAnswer = code === undefined && /^[A-Z]{3,} /.test(message);
  if (signal.aborted || !isAnswer) return { ...verdictOn(thrown, signal), values };
  return critical(REFUSED.test(message) ? 'the login is refused' : `the server says: ${message}`, values);
}

async function measure(
  settings: RedisSettings,
  { clock }: SensorModules,
  signal: AbortSignal,
  password: string | undefined,
): Promise<Measurement> {
  signal.throwIfAborted();
  const { createClient } = await import('@redis/client');
  const started = clock.monotonic();
  const since = (name: string) => ({ name, unit: 'ms', value: round(clock.monotonic() - started, 1) });
  const values: MetricValue[] = [];
  let [socket, client]: [ServiceSocket | undefined, ReturnType<typeof createClient> | undefined] = [
    undefined,
    undefined,
  ];
  try {
    if (settings.tls) socket = await ServiceSocket.connect(settings, signal);
    client = createClient(await optionsOf(settings, password, socket));
    // The promises say the same.
    client.on('error', () => undefined);
    await untilAborted(client.connect(), signal);
    values.push(since('login'));
    await untilAborted(client.ping(), signal);
    values.push(since('answer'));
    const info = await untilAborted(client.info().catch(unlessNotAllowed), signal);
    const { values: said, masterIsLost } = infoValues(info);
    if (info !== '') values.push(...said);
    return masterIsLost ? critical('its link to its master is down', values) : { values };
  } catch (thrown) {
    return verdict(thrown, values, signal);
  } finally {
    client?.destroy();
    socket?.destroy();
  }
}

/** A user that may not ask for INFO has been given just enough to log in. */
function unlessNotAllowed(thrown: Error): string {
  if (NOT_ALLOWED.test(thrown.message)) return '';
  throw thrown;
}

export const redis: SensorKind<RedisSettings> = {
  ...description,
  create: (settings, modules) => ({
    measure: async (signal, secrets) => measure(settings, modules, signal, await secretText(secrets, 'password')),
  }),
};
