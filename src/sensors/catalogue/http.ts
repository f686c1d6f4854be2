// Kind `http` in words and numbers.
import { z } from 'zod';
import { seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { ca, pattern, verifyTls } from './fields.js';

const HOP_HEADERS = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
]);

/** Settings are not secret: what opens doors is sent by `auth`. */
const SECRET_HEADERS = new Set(['authorization', 'proxy-authorization']);

const httpFields = z.strictObject({
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
        .refine((name) => !HOP_HEADERS.has(name.toLowerCase()), 'may not be set')
        .refine((name) => !SECRET_HEADERS.has(name.toLowerCase()), 'is a secret: use auth'),
      z
        .string()
        .max(4_096)
        .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be one line'),
    )
    .default({})
    .describe('Sent to the origin of the URL only, never after a redirect to another'),
  auth: z
    .enum(['none', 'basic', 'bearer'])
    .default('none')
    .describe(
      'How to log in, at the origin of the URL only (to http:// unencrypted); its password or token is a secret',
    ),
  user: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[^:\p{Cc}]+$/u, 'must have no colon')
    .optional()
    .describe('Who logs in by basic'),
  body: z.string().max(16_384).optional(),
  status: z.array(z.int().min(100).max(599)).min(1).max(50).optional().describe('What is well; default 200 to 399'),
  contains: z.string().min(1).max(1_024).optional().describe('Text that the body must contain'),
  matches: pattern.optional().describe('Regular expression that the body must match'),
  redirects: z.int().min(0).max(10).default(5).describe('How many to follow'),
  verifyTls,
  ca,
  maxBody: z.int().min(1).max(16_777_216).default(1_048_576).describe('Bytes of the body to read'),
});
const httpSettings = httpFields.refine(
  ({ auth, user }) => (auth === 'basic') === (user !== undefined),
  'user belongs to auth=basic, which needs it',
);

export type HttpSettings = z.infer<typeof httpSettings>;

export const http: SensorDescription<HttpSettings> = {
  name: 'http',
  summary: 'Whether a web address answers as it should, and how fast',
  settings: httpSettings,
  metrics: ['connect', 'tls', 'first-byte', 'total', 'status', 'size'],
  secrets: {
    fields: {
      password: { summary: 'Password for auth=basic', required: false },
      token: { summary: 'Token for auth=bearer', required: false },
    },
    target({ url, auth, user = '', headers, verifyTls, ca = '' }) {
      const { origin, pathname, search } = new URL(url);
      // Whom the server, and the TLS library, believe to be meant.
      const host = Object.entries(headers).filter(([name]) => name.toLowerCase() === 'host');
      return {
        origin,
        path: pathname + search,
        auth,
        user,
        verifyTls: String(verifyTls),
        ca,
        host: host.map(([, value]) => value).join(' '),
      };
    },
  },
  defaults: { interval: seconds(60), timeout: seconds(20), thresholds: [] },
};
