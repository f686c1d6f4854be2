// Kind `exec` in words and numbers.
import { z } from 'zod';
import { minutes, seconds } from '../../kernel/duration.js';
import type { SensorDescription } from '../kind.js';

/**
 * What a variable with a secret may be called. Whoever configures the sensor also enters the secret, and many variables
 * decide what a program loads, runs or writes (LD_PRELOAD, BASH_ENV, SSH_ASKPASS, SSLKEYLOGFILE, …): no list of those
 * would be complete.
 */
const SECRET_VARIABLE = /^[A-Z][A-Z0-9_]{0,63}$/;
const SECRET_ENDING = /(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|COMMUNITY|_PASS|_PWD|_KEY)$/;

const execFields = z.strictObject({
  program: z.string().min(1).max(1_024).describe('File below one of the locally allowed directories'),
  args: z.array(z.string().max(4_096)).max(64).default([]).describe('One argument each; no shell reads them'),
  secret: z
    .enum(['none', 'stdin', 'environment'])
    .default('none')
    .describe('How the program gets its secret; stdin is seen by nobody else, an environment by its user'),
  variable: z
    .string()
    .regex(SECRET_VARIABLE, 'must be upper case')
    .regex(SECRET_ENDING, 'must end in PASSWORD, PASSWD, PASSPHRASE, SECRET, TOKEN, COMMUNITY, _PASS, _PWD or _KEY')
    .optional()
    .describe('The variable of the environment that holds it'),
});
const execSettings = execFields.refine(
  ({ secret, variable }) => (secret === 'environment') === (variable !== undefined),
  'variable belongs to secret=environment, which needs it',
);

export type ExecSettings = z.infer<typeof execSettings>;

export const exec: SensorDescription<ExecSettings> = {
  name: 'exec',
  summary: 'A monitoring plugin (Nagios, Icinga, Naemon)',
  settings: execSettings,
  secrets: {
    fields: { secret: { summary: 'What the program is handed over, as it is', required: false } },
    target: ({ program, args, secret, variable = '' }) => ({ program, args: JSON.stringify(args), secret, variable }),
  },
  defaults: { interval: minutes(5), timeout: seconds(30), thresholds: [] },
};
