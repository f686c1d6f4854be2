// What a listener takes from strangers: every bound in one place, with defaults for a cloud.
import { type Duration, seconds } from '../kernel/duration.js';
import type { Windows } from './windows.js';

const KIB = 1_024;
const MIB = 1_024 * KIB;

export interface ListenerLimits {
  /** Connections at the same time. One with mTLS costs about 90 KiB. */
  readonly connections: number;
  /** The same from one address. A whole site may sit behind one (NAT). */
  readonly connectionsPerAddress: number;
  /** From TCP accept to the end of the TLS handshake, and again from there to the first HTTP/2 SETTINGS. */
  readonly handshake: Duration;
  /** One received message. Larger: RESOURCE_EXHAUSTED for its call. */
  readonly messageBytes: number;
  /** The same of a stranger, who has little to say: a sealed enrolment takes at most 64 KiB. */
  readonly strangerMessageBytes: number;
  /** A request has to be whole by then; so has each message of a stranger. */
  readonly request: Duration;
  /** Metadata of one call. */
  readonly metadataBytes: number;
  readonly streamsPerConnection: number;
  /** What one connection may keep in the memory of the HTTP/2 library. */
  readonly sessionMemoryMiB: number;
  readonly windows: Windows;
  /** A silent connection is probed this often … */
  readonly keepalive: Duration;
  /** … and dropped when the probe is not answered within this. */
  readonly keepaliveTimeout: Duration;
}

export const DEFAULT_LIMITS: ListenerLimits = {
  connections: 20_000,
  connectionsPerAddress: 2_000,
  handshake: seconds(10),
  // An envelope is at most 1 MiB, a message of a trunk 2 MiB.
  messageBytes: 2 * MIB + 64 * KIB,
  strangerMessageBytes: 80 * KIB,
  request: seconds(20),
  metadataBytes: 16 * KIB,
  streamsPerConnection: 100,
  sessionMemoryMiB: 64,
  // 4 MiB in flight are 40 MB/s at a round trip of 100 ms.
  windows: { stream: 4 * MIB, connection: 8 * MIB },
  keepalive: seconds(30),
  keepaliveTimeout: seconds(20),
};

/** For a connector's port in its LAN: many small hubs, short round trips. */
export const LAN_LIMITS: ListenerLimits = {
  ...DEFAULT_LIMITS,
  connections: 12_000,
  connectionsPerAddress: 200,
  messageBytes: MIB + 64 * KIB,
  windows: { stream: 512 * KIB, connection: MIB },
};
