// What descriptions of kinds that log in to a service have in common.
import type { SecretTarget } from '../kind.js';

interface Service {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean | string;
  readonly verifyTls: boolean;
  readonly ca?: string | undefined;
  readonly serverName?: string | undefined;
}

/** Who learns a password that is sent to this service. */
export const serviceTarget = ({ host, port, tls, verifyTls, ca = '', serverName = '' }: Service): SecretTarget => ({
  host,
  port: String(port),
  tls: String(tls),
  verifyTls: String(verifyTls),
  ca,
  serverName,
});
