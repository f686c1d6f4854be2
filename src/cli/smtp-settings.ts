// The mail server of a cloud, from its settings: complete and sensible, or a fault that says what to change.
import { isEmailAddress, type SmtpSettings } from '../cloud/notify/email.js';
import { isMissing, readSecretFile } from '../identity/key-file.js';
import type { CLOUD_SETTINGS } from './config/role-settings.js';
import type { ValuesOf } from './config/settings.js';
import { CliFault } from './fault.js';

/** Undefined: there is none. Faults: cli.config; those of the password file: identity.file-*. */
export async function smtpSettings(values: ValuesOf<typeof CLOUD_SETTINGS>): Promise<SmtpSettings | undefined> {
  const { smtpHost: host, smtpPort, smtpTls: tls = 'required', smtpFrom: from, smtpUser: user } = values;
  const { smtpPasswordFile: file } = values;
  if (host === undefined) {
    const [given] = [smtpPort, values.smtpTls, from, user, file].filter((value) => value !== undefined);
    if (given !== undefined) throw wrong('settings of a mail server without one', 'Say --smtp-host, too.');
    return undefined;
  }
  if (from === undefined) throw wrong('e-mails need a sender', 'Say --smtp-from.');
  if (!isEmailAddress(from)) throw wrong('--smtp-from is no address', 'Write it like alarms@example.net.');
  const port = smtpPort ?? (tls === 'implicit' ? 465 : 587);
  if (user === undefined && file === undefined) return { host, port, tls, from };
  if (user === undefined || file === undefined)
    throw wrong('to log in takes a user and a password', 'Say both --smtp-user and --smtp-password-file.');
  if (tls !== 'required' && tls !== 'implicit')
    throw wrong('a password is not sent where anybody could read it', 'Say --smtp-tls required, or implicit.');
  const secret = await readSecretFile(file).catch((thrown) => {
    // The path is not repeated: it may be the password itself, given where the file belongs.
    throw isMissing(thrown)
      ? wrong('the password file does not exist', 'Name a file that holds the password.')
      : thrown;
  });
  const password = secret.toString().replace(/\r?\n$/, '');
  secret.fill(0);
  if (password === '') throw wrong('the password file is empty', 'Write the password into it.');
  return { host, port, tls, from, login: { user, password } };
}

const wrong = (message: string, advice: string): CliFault => new CliFault('cli.config', message, { advice });
