// Kind `smtp`: greets a mail server, encrypts, logs in and says goodbye.
import { isIP, type Socket } from 'node:net';
import { hours } from '../../kernel/duration.js';
import { smtp as description, type SmtpSettings } from '../catalogue/smtp.js';
import type { Measurement, MetricValue, SensorKind, SensorModules } from '../kind.js';
import { critical } from '../network-verdict.js';
import { requireSecretText } from '../secret-text.js';
import { type ServiceSocket, tlsName, tlsOptions, visit } from '../service-socket.js';

/** The run has its own end; until then nobody else loses patience. */
const PATIENCE = hours(1);

function verdict(thrown: unknown): Measurement {
  const { code, responseCode, message } = thrown as { code?: string; responseCode?: number; message: string };
  const answer = responseCode === undefined ? '' : ` (${responseCode})`;
  if (code === 'EAUTH') return critical(`the login is refused${answer}`);
  // What the server says may repeat what it was told.
  if (responseCode !== undefined) return critical(`the server answers with ${responseCode}`);
  throw new Error(message.replace(/^Error (?:initiating|upgrading)[^-]*- /, ''), { cause: thrown });
}

async function talk(
  { createTransport }: typeof import('nodemailer'),
  settings: SmtpSettings,
  password: string | undefined,
  socket: ServiceSocket,
  since: (name: string) => MetricValue,
): Promise<Measurement> {
  const values = [since('connect')];
  const name = tlsName(settings);
  const transport = createTransport({
    host: name,
    port: settings.port,
    secure: settings.tls === 'implicit',
    requireTLS: settings.tls === 'starttls',
    ignoreTLS: settings.tls === 'off',
    tls: { ...tlsOptions(settings), ...(isIP(name) ? {} : { servername: name }) },
    ...(settings.user === undefined ? {} : { auth: { user: settings.user, pass: password ?? '' }, forceAuth: true }),
    connectionTimeout: PATIENCE,
    greetingTimeout: PATIENCE,
    socketTimeout: PATIENCE,
    disableFileAccess: true,
    disableUrlAccess: true,
    logger: false,
  } as Parameters<typeof createTransport>[0]);
  transport.getSocket = (_options, callback) => callback(null, { connection: socket as unknown as Socket });
  try {
    await transport.verify();
    values.push(since('login'));
    return { values };
  } catch (thrown) {
    return { ...verdict(thrown), values };
  } finally {
    transport.close();
  }
}

async function measure(settings: SmtpSettings, { clock }: SensorModules, signal: AbortSignal, password?: string) {
  signal.throwIfAborted();
  // Before there is a connection: once there is one, somebody has to listen to it.
  const library = await import('nodemailer');
  return await visit(settings, clock, signal, (socket, since) => talk(library, settings, password, socket, since));
}

export const smtp: SensorKind<SmtpSettings> = {
  ...description,
  create: (settings, modules) => ({
    async measure(signal, secrets) {
      const password = settings.user === undefined ? undefined : await requireSecretText(secrets, 'password');
      return await measure(settings, modules, signal, password);
    },
  }),
};
