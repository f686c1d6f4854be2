// Secrets as text, for libraries that take nothing else. Nothing keeps it beyond the run.
import { SensorFault } from './fault.js';
import type { Secrets } from './kind.js';

/** Undefined when none has been entered. Faults: sensor.secret. */
export async function secretText(secrets: Secrets, field: string): Promise<string | undefined> {
  return (await secrets.get(field))?.toString('utf8');
}

/** Faults: sensor.secret, also when none has been entered. */
export async function requireSecretText(secrets: Secrets, field: string): Promise<string> {
  const text = await secretText(secrets, field);
  if (text !== undefined) return text;
  throw new SensorFault('sensor.secret', `no ${field} has been entered for this target`, { permanent: true });
}
