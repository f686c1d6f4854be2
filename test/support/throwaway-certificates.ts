// Certificates for tests of TLS: a CA and members of it, made in a moment and thrown away. Real time, because OpenSSL
// looks at the real clock.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY = 86_400_000;

export interface TestIdentity {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
  readonly der: Buffer;
}

export interface TestCertificateOptions {
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly uri?: string;
  /** Already over. */
  readonly expired?: boolean;
}

export interface TestAuthority {
  /** PEM. */
  readonly ca: string;
  issue(name: string, options?: TestCertificateOptions): Promise<TestIdentity>;
}

const generate = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

export async function testAuthority(name = 'test CA'): Promise<TestAuthority> {
  const keys = await generate();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(Date.now() - 10 * DAY),
    notAfter: new Date(Date.now() + 10 * DAY),
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  let serial = 1;
  return {
    ca: certificate.toString('pem'),
    issue: async (subject, options = {}) => {
      const own = await generate();
      const names: x509.JsonGeneralName[] = [
        ...(options.dns ?? ['localhost']).map((value) => ({ type: 'dns' as const, value })),
        ...(options.ip ?? ['127.0.0.1']).map((value) => ({ type: 'ip' as const, value })),
        ...(options.uri ? [{ type: 'url' as const, value: options.uri }] : []),
      ];
      const issued = await x509.X509CertificateGenerator.create({
        subject: `CN=${subject}`,
        issuer: certificate.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        serialNumber: (++serial).toString(16).padStart(4, '0'),
        notBefore: new Date(Date.now() - 2 * DAY),
        notAfter: new Date(Date.now() + (options.expired ? -DAY : DAY)),
        extensions: [new x509.SubjectAlternativeNameExtension(names)],
      });
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey));
      return {
        cert: issued.toString('pem'),
        key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
        der: Buffer.from(issued.rawData),
      };
    },
  };
}
