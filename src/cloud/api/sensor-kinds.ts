// The catalogue of sensor kinds as the API tells it.
import { z } from 'zod';
import type { SensorKind } from '../../../gen/occmesh/inventory/v1/inventory.js';
import { CATALOGUE } from '../../sensors/catalogue.js';
import type { SensorDescription } from '../../sensors/kind.js';

/** By name. */
export function sensorKinds(): SensorKind[] {
  const all = Object.values(CATALOGUE) as unknown as SensorDescription<unknown>[];
  return all.map(kindOf).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function kindOf({ name, summary, settings, metrics, secrets, defaults }: SensorDescription<unknown>): SensorKind {
  return {
    name,
    summary,
    settingsSchema: z.toJSONSchema(settings, { io: 'input' }),
    metrics: [...(metrics ?? [])],
    defaultIntervalMs: defaults.interval,
    defaultTimeoutMs: defaults.timeout,
    defaultThresholds: defaults.thresholds,
    secrets: Object.entries(secrets?.fields ?? {}).map(([field, about]) => ({ name: field, ...about })),
  };
}
