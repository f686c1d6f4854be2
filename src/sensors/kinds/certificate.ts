// Kind `certificate`: how many days a TLS server's certificate is still valid, and whether clients would accept it.
import { isIP } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { defined } from '../../kernel/defined.js';
import { days } from '../../kernel/duration.js';
import { type CertificateSettings, certificate as description } from '../catalogue/certificate.js';
import { SensorFault } from '../fault.js';
import type { Measurement, SensorKind, SensorModules } from '../kind.js';
import { CERTIFICATE_WORDS, critical, verdictOn } from '../network-verdict.js';
import { round } from '../rounding.js';

interface Seen {
  readonly certificate: PeerCertificate;
  /** Why a client would refuse it; undefined when it would not. */
  readonly complaint: string | undefined;
}

/** Shakes hands with whatever comes and looks at it; nothing is ever sent or trusted over this connection. */
async function look(settings: CertificateSettings, signal: AbortSignal): Promise<Seen> {
  const { checkServerIdentity, connect } = await import('node:tls');
  const name = settings.serverName ?? settings.host;
  const options = {
    host: settings.host,
    port: settings.port,
    rejectUnauthorized: false,
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => checkServerIdentity(name, certificate),
    // An address is no server name (RFC 6066 section 3), but it is what the certificate is verified for.
    ...(isIP(name) ? { servername: '' } : { servername: name }),
    ...defined({ ca: settings.ca }),
  };
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect(options);
    const abort = () => socket.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    socket.on('close', () => signal.removeEventListener('abort', abort));
    socket.on('error', reject);
    socket.once('secureConnect', () => {
      const error: unknown = socket.authorizationError;
      const code = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : error;
      const complaint = error
        ? (CERTIFICATE_WORDS[String(code)] ?? `the certificate is not valid: ${String(code)}`)
        : undefined;
      resolve({ certificate: socket.getPeerCertificate(), complaint });
      socket.destroy();
    });
  });
}

async function measure(
  settings: CertificateSettings,
  { clock }: SensorModules,
  signal: AbortSignal,
): Promise<Measurement> {
  let seen: Seen;
  try {
    seen = await look(settings, signal);
  } catch (thrown) {
    return verdictOn(thrown, signal);
  }
  const end = Date.parse(seen.certificate.valid_to);
  if (Number.isNaN(end)) throw new SensorFault('sensor.unreadable', 'the server shows no certificate');
  const values = [{ name: 'days-left', unit: 'd', value: round((end - clock.now()) / days(1), 1) }];
  return settings.verify && seen.complaint !== undefined ? critical(seen.complaint, values) : { values };
}

export const certificate: SensorKind<CertificateSettings> = {
  ...description,
  create: (settings, modules) => ({
    async measure(signal) {
      signal.throwIfAborted();
      return measure(settings, modules, signal);
    },
  }),
};
