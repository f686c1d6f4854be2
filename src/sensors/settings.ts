// Settings of every kind of sensor: schemas that check what an operator wrote, and the types that come out. Unknown
// fields are refused, so that a misspelt one is noticed. No kind takes a password here: settings are not secret.
import { z } from 'zod';

/** No leading dash, so that no program takes a host for an option. */
const host = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9_:][A-Za-z0-9_.:%-]*$/, 'must be a host name or an IP address');
const port = z.int().min(1).max(65_535);
const pemCertificates = z.string().max(65_536).includes('-----BEGIN CERTIFICATE-----');
const pattern = z
  .string()
  .min(1)
  .max(256)
  .refine((text) => {
    try {
      new RegExp(text);
      return true;
    } catch {
      return false;
    }
  }, 'must be a regular expression');

export const cpuSettings = z.strictObject({});
export const memorySettings = z.strictObject({});
export const loadSettings = z.strictObject({});

export const diskSettings = z.strictObject({
  mounts: z
    .array(z.string().min(1).max(110))
    .min(1)
    .max(64)
    .optional()
    .describe('Mount points (or drives) to watch; without it every local file system'),
});

export const networkSettings = z.strictObject({
  interfaces: z
    .array(z.string().min(1).max(64))
    .min(1)
    .max(64)
    .optional()
    .describe('Interfaces to watch; without it every one with traffic but loopback and containers'),
});

export const processSettings = z
  .strictObject({
    name: z.string().min(1).max(256).optional().describe("The program's name, exactly"),
    pattern: pattern
      .optional()
      .describe('Regular expression, matched against the first 1,024 characters of command lines'),
  })
  .refine((s) => (s.name === undefined) !== (s.pattern === undefined), 'needs either name or pattern');

export const tcpSettings = z.strictObject({
  host,
  port,
  send: z.string().max(4_096).optional().describe('Text to send once connected'),
  expect: z.string().min(1).max(4_096).optional().describe('Text that the first 64 KiB of the answer must contain'),
});

const HOP_HEADERS = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
]);

export const httpSettings = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
    .max(2_048)
    .refine((text) => {
      const url = URL.canParse(text) ? new URL(text) : undefined;
      return url !== undefined && url.username === '' && url.password === '';
    }, 'must not contain a user name or password: settings are not secret'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS']).default('GET'),
  headers: z
    .record(
      z
        .string()
        .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'must be a header name')
        .refine((name) => !HOP_HEADERS.has(name.toLowerCase()), 'may not be set'),
      z
        .string()
        .max(4_096)
        .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be one line'),
    )
    .default({})
    .describe('Sent to the origin of the URL only, never after a redirect to another'),
  body: z.string().max(16_384).optional(),
  status: z.array(z.int().min(100).max(599)).min(1).max(50).optional().describe('What is well; default 200 to 399'),
  contains: z.string().min(1).max(1_024).optional().describe('Text that the body must contain'),
  matches: pattern.optional().describe('Regular expression that the body must match'),
  redirects: z.int().min(0).max(10).default(5).describe('How many to follow'),
  verifyTls: z.boolean().default(true),
  ca: pemCertificates.optional().describe('Certificate authorities to trust instead of the public ones, PEM'),
  maxBody: z.int().min(1).max(16_777_216).default(1_048_576).describe('Bytes of the body to read'),
});

export const certificateSettings = z.strictObject({
  host,
  port: port.default(443),
  serverName: host.optional().describe('Name to ask for and to verify; default the host'),
  verify: z.boolean().default(true).describe('Chain and name must be valid'),
  ca: pemCertificates.optional().describe('Certificate authorities to trust instead of the public ones, PEM'),
});

export const pingSettings = z.strictObject({
  host,
  count: z.int().min(1).max(20).default(3).describe('Packets per run'),
  family: z.enum(['any', 'ipv4', 'ipv6']).default('any'),
});

export const execSettings = z.strictObject({
  program: z.string().min(1).max(1_024).describe('File below one of the locally allowed directories'),
  args: z.array(z.string().max(4_096)).max(64).default([]).describe('One argument each; no shell reads them'),
});

export type DiskSettings = z.infer<typeof diskSettings>;
export type NetworkSettings = z.infer<typeof networkSettings>;
export type ProcessSettings = z.infer<typeof processSettings>;
export type TcpSettings = z.infer<typeof tcpSettings>;
export type HttpSettings = z.infer<typeof httpSettings>;
export type CertificateSettings = z.infer<typeof certificateSettings>;
export type PingSettings = z.infer<typeof pingSettings>;
export type ExecSettings = z.infer<typeof execSettings>;
/** Of kinds that have none. */
export type NoSettings = Record<string, never>;
