// Fields that settings of several kinds have in common.
import { z } from 'zod';

/** No leading dash, so that no program takes a host for an option. */
export const host = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9_:][A-Za-z0-9_.:%-]*$/, 'must be a host name or an IP address');

export const isAddress = (text: string): boolean => z.union([z.ipv4(), z.ipv6()]).safeParse(text).success;

export const port = z.int().min(1).max(65_535);

export const pattern = z
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

const pemCertificates = z.string().max(65_536).includes('-----BEGIN CERTIFICATE-----');

/** Whom to believe at the other end of a TLS connection. */
export const ca = pemCertificates
  .optional()
  .describe('Certificate authorities to trust instead of the public ones, PEM');
export const verifyTls = z.boolean().default(true).describe("The server's certificate must be valid");
export const serverName = host.optional().describe('Name to ask for and to verify; default the host');

export const filePath = z
  .string()
  .max(1_024)
  .regex(/^(?:\/|[A-Za-z]:[\\/])[^\0]*$/, 'must be an absolute path');

export const tls = z
  .boolean()
  .default(true)
  .describe('Encrypt the connection; without it, everybody on the way can read the password');

/** Whoever logs in somewhere. */
export const user = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[^\p{Cc}]+$/u, 'must be one line');

/**
 * One statement that only reads. Its transaction is read-only as well, but that keeps from neither files nor programs
 * (INTO OUTFILE, COPY TO PROGRAM): so no other statement, and INTO nowhere, not even in a text.
 */
export const query = z
  .string()
  .max(4_096)
  .regex(/^\s*(?:SELECT|WITH|SHOW|VALUES|TABLE)\b/i, 'must begin with SELECT, WITH, SHOW, VALUES or TABLE')
  .regex(/^(?!.*\bINTO\b)/is, 'must not contain INTO')
  .regex(/^(?!.*\0)/s, 'must be text')
  .optional()
  .describe('One statement; the numbers in the first row of its result are measured. Without it only the login');
