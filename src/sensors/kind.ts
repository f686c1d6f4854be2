// The sensor port: what a kind of sensor is, what it is given and what it hands back. Kinds are in kinds/, their list in
// registry.ts, their descriptions (for whoever configures but never measures) in catalogue/, listed in catalogue.ts.
// Settings are not secret; unknown ones are refused, so that a misspelt one is noticed.
import type { z } from 'zod';
import type { Threshold } from '../../gen/occmesh/link/v1/link.js';
import type { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock } from '../kernel/clock.js';
import type { Duration } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import type { MetricValue } from '../telemetry/reading.js';

export type { MetricValue } from '../telemetry/reading.js';

/** What is said of a kind to people and to the cloud. */
export interface SensorDescription<S> {
  /** Unique, lower case; never changed once released. */
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  /** Checks and completes the settings of a configuration. */
  readonly settings: z.ZodType<S>;
  /**
   * The names of all that it can measure, each with at most one `*` for any characters. Absent: only what it runs knows.
   */
  readonly metrics?: readonly string[];
  /** The passwords that it may be given. Absent: none, ever. */
  readonly secrets?: SecretsDescription<S>;
  /** What a new sensor gets unless its creator says otherwise. */
  readonly defaults: { readonly interval: Duration; readonly timeout: Duration; readonly thresholds: Threshold[] };
}

/** Of kinds that have none. */
export type NoSettings = Record<string, never>;

export interface SecretsDescription<S> {
  /** By field, lower case: `password`, `token`, … */
  readonly fields: Readonly<Record<string, SecretField>>;
  /**
   * Whoever learns the secrets of a sensor with these settings: host, port, user and everything else that decides it. A
   * secret is sealed for this target and is void for any other.
   */
  target(settings: S): SecretTarget;
}

export interface SecretField {
  /** One line for people. */
  readonly summary: string;
  /** The sensor cannot run without it. */
  readonly required: boolean;
}

export type SecretTarget = Readonly<Record<string, string>>;

/** The secrets of one run. */
export interface Secrets {
  /**
   * The plaintext, UTF-8; undefined when none has been entered. It is wiped when the run is over: keep neither it nor a
   * string made of it. Throws `sensor.secret` when there is one that must not be used (it was entered for another
   * target, or cannot be opened), and when a required one is missing.
   */
  get(field: string): Promise<Buffer | undefined>;
}

export interface SensorKind<S> extends SensorDescription<S> {
  /** Starts a process with each run; such kinds share a concurrency limit of their own. */
  readonly spawns?: boolean;
  /** Makes a sensor; opens and reads nothing yet. Heavy libraries are imported by the first run, not here. */
  create(settings: S, modules: SensorModules): Sensor;
}

/** One configured sensor. The scheduler never runs it twice at the same time. */
export interface Sensor {
  /**
   * Measures once. Throws when it cannot be measured (state UNKNOWN). When the signal aborts, it lets go of everything
   * and settles soon; where silence is a verdict (a server that does not answer), it may still resolve with that
   * verdict if the signal's reason has the code `sensor.timeout`.
   */
  measure(signal: AbortSignal, secrets: Secrets): Promise<Measurement>;
  /** Called once, after the last run. */
  close?(): Promise<void>;
}

export interface Measurement {
  readonly values: MetricValue[];
  /** The sensor's own verdict; thresholds can make it worse, never better. Absent: OK. */
  readonly state?: State;
  /** Why, in words. Empty or always the same while all is well: each distinct message is stored and sent. */
  readonly message?: string;
}

/** What every sensor is given. */
export interface SensorModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** `process.platform` of the machine. */
  readonly platform: NodeJS.Platform;
  readonly exec: ExecPolicy;
  readonly watch: WatchPolicy;
  readonly ssh: SshPolicy;
}

/** What the machine's owner, never the cloud, allows sensors of kind `exec`. */
export interface ExecPolicy {
  /** Absolute directories; only files below them are run. Empty: none are. */
  readonly directories: readonly string[];
  /** Who runs them when the hub is root; without it, a hub that is root refuses. */
  readonly runAs?: { readonly uid: number; readonly gid: number };
}

/** What the machine's owner, never the cloud, lets sensors of kinds `file` and `log` look at. */
export interface WatchPolicy {
  /** Absolute directories; only what is below them. Empty: nothing. */
  readonly directories: readonly string[];
}

/** What the machine's owner, never the cloud, lets sensors of kind `ssh` run on other hosts. */
export interface SshPolicy {
  /** Command lines by name. */
  readonly commands: Readonly<Record<string, string>>;
}
