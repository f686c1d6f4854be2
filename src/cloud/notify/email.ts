// E-mails through the cloud's mail server, bounded in time.
import { connect, isIP, type Socket } from 'node:net';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import { type Duration, seconds } from '../../kernel/duration.js';
import { toError } from '../../kernel/fault.js';
import type { EmailText } from './email-text.js';

/**
 * `required`: STARTTLS or nothing. `opportunistic`: STARTTLS where it is offered, whatever the certificate. `implicit`: TLS
 * from the first byte on.
 */
export const SMTP_TLS = ['required', 'opportunistic', 'none', 'implicit'] as const;

export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  readonly tls: (typeof SMTP_TLS)[number];
  /** Absent: without logging in. */
  readonly login?: { readonly user: string; readonly password: string };
  /** The sender's address. */
  readonly from: string;
  /** Instead of the usual authorities, PEM. */
  readonly ca?: string;
  /** For one message, all in all. */
  readonly within?: Duration;
}

export interface Email extends EmailText {
  /** The same in every repetition. */
  readonly id: string;
  readonly writtenAtMs: number;
  readonly to: readonly string[];
}

const WITHIN = seconds(60);

const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const ADDRESS = new RegExp(`^[A-Za-z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@(?:${LABEL}\\.)+${LABEL}$`);

/** Plain ASCII addresses with a domain, and nothing that means something else in a header or to a mail server. */
export const isEmailAddress = (text: string): boolean => text.length <= 254 && ADDRESS.test(text);

/**
 * Resolves when the mail server has taken it, with who it was refused for, if not for all. Rejects with why not, or with
 * the signal's reason. Leaves no socket behind.
 */
export async function sendEmail(
  email: Email,
  settings: SmtpSettings,
  { clock }: { readonly clock: Clock },
  signal: AbortSignal,
): Promise<string | undefined> {
  signal.throwIfAborted();
  const { host, port, tls, login, from, ca, within = WITHIN } = settings;
  // The first e-mail imports it: a cloud without never loads it.
  const { createTransport } = await import('nodemailer');
  // A socket of our own: it can be closed whatever the mail server does.
  const socket = connect({ host, port });
  let why: unknown;
  const end = (reason: unknown) => {
    why ??= reason;
    socket.destroy(toError(reason));
  };
  const abort = () => end(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const late = () => end(new Error(`the mail server did not take it within ${within / 1_000} seconds`));
  const timer = clock.after(within, late);
  try {
    await connected(socket);
    const transport = createTransport({
      host,
      port,
      connection: socket,
      secure: tls === 'implicit',
      requireTLS: tls === 'required',
      ignoreTLS: tls === 'none',
      opportunisticTLS: tls === 'opportunistic',
      tls: {
        host,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        rejectUnauthorized: tls !== 'opportunistic',
        ...defined({ ca }),
      },
      ...(login ? { auth: { user: login.user, pass: login.password } } : {}),
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    const { id, writtenAtMs, to, subject, text } = email;
    const { rejected = [] } = await transport.sendMail({
      messageId: `<${id}@occ-mesh>`,
      date: new Date(writtenAtMs),
      from: { name: 'occ-mesh', address: from },
      to: to.map((address) => ({ name: '', address })),
      subject,
      text,
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
    return rejected.length === 0 ? undefined : `the mail server refused it for ${rejected.join(', ')}`;
  } catch (thrown) {
    throw why ?? thrown;
  } finally {
    timer.disarm();
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    // It stays: an error that comes when nobody waits any more must not end the process.
    socket.on('error', reject);
    socket.once('connect', resolve);
  });
}
