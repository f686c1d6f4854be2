// The sensors that every new hub begins with. Pure data: the cloud writes them into the hub's first desired state.
import type { KindName } from './catalogue.js';

export interface DefaultSensor {
  /** Display name. */
  readonly name: string;
  readonly kind: KindName;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** In order; intervals, timeouts and thresholds are those of the kind (catalogue.ts). */
export const DEFAULT_SENSORS: readonly DefaultSensor[] = [
  { name: 'CPU', kind: 'cpu', settings: {} },
  { name: 'Memory', kind: 'memory', settings: {} },
  { name: 'Disks', kind: 'disk', settings: {} },
  { name: 'Network', kind: 'network', settings: {} },
  { name: 'Load', kind: 'load', settings: {} },
];
