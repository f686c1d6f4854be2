// What is wrong with the settings of a sensor, in the words of whoever enters them.
import type { z } from 'zod';
import type { SensorDescription } from './kind.js';

const MAX_PROBLEMS = 5;

type Checked<S> =
  | { readonly settings: S; readonly problems?: undefined }
  | { readonly settings?: undefined; readonly problems: string };

/** The settings, completed by the schema of their kind, or what is wrong with them in one line. */
export function checkSettings<S>(kind: Pick<SensorDescription<S>, 'settings' | 'secrets'>, given: unknown): Checked<S> {
  const result = kind.settings.safeParse(given, { error: (issue) => wordsFor(issue, kind) });
  if (result.success) return { settings: result.data };
  const problems = result.error.issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '));
  return { problems: problems.slice(0, MAX_PROBLEMS).join('; ') };
}

/** Undefined: the schema's own words are good. */
function wordsFor(issue: z.core.$ZodRawIssue, { secrets }: Pick<SensorDescription<never>, 'secrets'>) {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `must be ${NOUNS[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(key, Object.hasOwn(secrets?.fields ?? {}, key))).join('; ');
    case 'invalid_key':
      return issue.issues.map(({ message }) => message).join('; ');
    default:
      return undefined;
  }
}

const NOUNS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list: ["a", "b"]',
  record: 'an object: {"name": "value"}',
  object: 'an object: {"name": "value"}',
};

const unknownKey = (key: string, secret: boolean): string =>
  secret ? `${key} is a secret: it is entered apart, once there is the sensor` : `there is no setting "${key}"`;
