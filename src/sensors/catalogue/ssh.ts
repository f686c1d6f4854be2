// Kind `ssh` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';
import { host, port, user } from './fields.js';

const sshSettings = z.strictObject({
  host,
  port: port.default(22),
  user: user.describe('Who logs in, by key if one has been entered, else by password'),
  fingerprint: z
    .string()
    .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'must be the fingerprint of the host key, SHA256:…')
    .describe('Of the host key, as "ssh-keygen -lf" shows it: to any other host nothing is said'),
  command: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'must be a name')
    .optional()
    .describe("The name of a command that the hub's own configuration allows; read like a monitoring plugin"),
});

export type SshSettings = z.infer<typeof sshSettings>;

export const ssh: SensorDescription<SshSettings> = {
  name: 'ssh',
  summary: 'Whether a host takes a login by SSH, and what a locally allowed command says there',
  settings: sshSettings,
  // `connect` and `login`, and whatever the command says.
  secrets: {
    fields: {
      password: { summary: 'Password of the user', required: false },
      key: { summary: 'Private key of the user, OpenSSH or PEM; wins over the password', required: false },
      passphrase: { summary: 'Passphrase of the key', required: false },
    },
    target: ({ host, port, user, fingerprint }) => ({ host, port: String(port), user, fingerprint }),
  },
  defaults: { interval: minutes(5), timeout: seconds(30), thresholds: [] },
};
