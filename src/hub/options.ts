// What a hub is told by whoever starts it: its own configuration, which the cloud cannot widen, and what it works with.
import type { Clock } from '../kernel/clock.js';
import type { Duration } from '../kernel/duration.js';
import type { Logger } from '../kernel/log.js';
import type { Meters } from '../kernel/metrics.js';
import type { Random } from '../kernel/random.js';

export interface HubOptions {
  /** Its membership, its log, what it remembers. */
  readonly directory: string;
  /** Connectors given by hand, host:port. */
  readonly connectors: readonly string[];
  /** May go to the internet itself; the cloud must allow it too. */
  readonly directAllowed: boolean;
  readonly multicast: boolean;
  /** Where to search: names or addresses; default: all but loopback. */
  readonly interfaces?: readonly string[];
  readonly ssdpPort?: number;
  /** For the direct path. */
  readonly proxy?: string;
  /** Where `exec` sensors may live; default: none. */
  readonly execDirectories?: readonly string[];
  /** Who runs them when the hub is root; without it, a hub that is root runs none. */
  readonly execRunAs?: { readonly uid: number; readonly gid: number };
  /** Below which `file` and `log` sensors may look; default: nowhere. */
  readonly watchDirectories?: readonly string[];
  /** What `ssh` sensors may run on other hosts, by name; default: nothing. */
  readonly sshCommands?: Readonly<Record<string, string>>;
  /** See journal.ts. */
  readonly journal?: string;
  readonly walBytes?: number;
  /** Readings after which a batch is closed; default 1,000. */
  readonly batchReadings?: number;
  /** Instead of the cloud's. */
  readonly fallbackAfter?: Duration;
}

export interface HubModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly meters?: Meters;
}
