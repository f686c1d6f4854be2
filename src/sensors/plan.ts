// From a sensor's configuration to what the scheduler runs: everything checked once, with readable reasons.
import type { SensorConfig } from '../../gen/occmesh/link/v1/link.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';
import { toError } from '../kernel/fault.js';
import { SensorFault } from './fault.js';
import type { SecretTarget, Sensor, SensorKind, SensorModules } from './kind.js';
import { NO_SECRETS, type OpenSecret, SealedSource, type SecretSource } from './secrets.js';
import { checkSettings } from './setting-problems.js';
import { type ParsedThreshold, parseThreshold } from './thresholds.js';

export type Kinds = ReadonlyMap<string, SensorKind<unknown>>;

export interface SensorPlan {
  readonly sensor: Sensor;
  readonly secrets: SecretSource;
  readonly interval: Duration;
  readonly timeout: Duration;
  readonly thresholds: readonly ParsedThreshold[];
  /** Shares the limit of kinds that start processes. */
  readonly spawns: boolean;
  /** Why it could not be configured; its sensor then only says so. */
  readonly failure: string | undefined;
}

export interface PlanModules extends SensorModules {
  readonly openSecret: OpenSecret;
}

const MIN_INTERVAL = seconds(1);
const wrong = (message: string) => new SensorFault('sensor.configuration', message, { permanent: true });

function readSettings(kind: SensorKind<unknown>, settings: unknown): unknown {
  const checked = checkSettings(kind, settings ?? {});
  if (checked.problems !== undefined) throw wrong(`settings of ${kind.name}: ${checked.problems}`);
  return checked.settings;
}

/** Whoever learns the secrets of a sensor; undefined when it can have none, or cannot be configured. */
export function secretTarget({ kind, settings }: SensorConfig, kinds: Kinds): SecretTarget | undefined {
  const description = kinds.get(kind);
  const parsed = description?.secrets && description.settings.safeParse(settings ?? {});
  return parsed?.success ? description?.secrets?.target(parsed.data) : undefined;
}

function secretsOf(config: SensorConfig, kind: SensorKind<unknown>, settings: unknown, open: OpenSecret): SecretSource {
  if (!kind.secrets) return NO_SECRETS;
  return new SealedSource(config, kind.secrets.fields, kind.secrets.target(settings), open);
}

function prepare(config: SensorConfig, kinds: Kinds, modules: PlanModules): SensorPlan {
  const kind = kinds.get(config.kind);
  if (!kind) throw wrong(`there is no kind of sensor "${config.kind}"`);
  if (config.intervalMs < MIN_INTERVAL) throw wrong(`the interval must be at least 1 s, not ${config.intervalMs} ms`);
  if (config.timeoutMs < 1 || config.timeoutMs >= config.intervalMs) {
    throw wrong(`the timeout must be less than the interval, not ${config.timeoutMs} ms of ${config.intervalMs} ms`);
  }
  const settings = readSettings(kind, config.settings);
  return {
    sensor: kind.create(settings, modules),
    secrets: secretsOf(config, kind, settings, modules.openSecret),
    interval: milliseconds(config.intervalMs),
    timeout: milliseconds(config.timeoutMs),
    thresholds: config.thresholds.map(parseThreshold),
    spawns: kind.spawns ?? false,
    failure: undefined,
  };
}

/** Never throws: what cannot be configured becomes a sensor that says why at each of its intervals. */
export function planSensor(config: SensorConfig, kinds: Kinds, modules: PlanModules): SensorPlan {
  try {
    return prepare(config, kinds, modules);
  } catch (thrown) {
    const fault = toError(thrown);
    return {
      sensor: { measure: () => Promise.reject(fault) },
      secrets: NO_SECRETS,
      interval: milliseconds(config.intervalMs >= MIN_INTERVAL ? config.intervalMs : 60_000),
      timeout: MIN_INTERVAL,
      thresholds: [],
      spawns: false,
      failure: fault.message,
    };
  }
}
