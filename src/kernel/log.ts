// Logging: pino, pretty on a terminal, JSON otherwise. Secrets are kept out by never being passed in; the redaction
// list is the second line of defence.
import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  readonly role: string;
  readonly level: LogLevel;
  /** Coloured single lines for people instead of JSON. */
  readonly pretty: boolean;
}

const REDACT = ['*.secret', '*.password', '*.token', '*.privateKey', '*.authorization', 'secret', 'password', 'token'];

/** A logger that writes to standard error, so that standard output stays free for results. */
export async function createLogger(options: LogOptions): Promise<Logger> {
  const settings = {
    level: options.level,
    base: { role: options.role },
    redact: { paths: REDACT, censor: '[redacted]' },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!options.pretty) return pino(settings, pino.destination({ dest: 2, sync: true }));
  const { default: pretty } = await import('pino-pretty');
  const stream: DestinationStream = pretty({
    destination: 2,
    sync: true,
    ignore: 'pid,hostname,role',
    messageFormat: '{role}: {msg}',
    translateTime: 'HH:MM:ss.l',
  });
  return pino(settings, stream);
}

export const silentLogger: Logger = pino({ level: 'silent' });
