// What rules work with: the target, the hubs that are played, and how long to wait for an answer.
import type { EnrollmentToken, Sealed, SealedAnswer } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import type { TrustBundle } from '../identity/certificates.js';
import type { SigningKey } from '../identity/keys.js';
import type { Clock } from '../kernel/clock.js';
import type { Duration } from '../kernel/duration.js';

/** How a stream ended. */
export interface End {
  /** The name of the trunk.v1.CloseCode in the status (ErrorInfo.reason); empty where there was none. */
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs: number;
}

/** One stream of LinkService.Link: whole envelopes, nothing interpreted. */
export interface Wire {
  send(envelope: Uint8Array): void;
  /** The next one; undefined after the end. */
  receive(): Promise<Uint8Array | undefined>;
  readonly ended: Promise<End>;
  /** Cuts it, without a word. */
  close(): void;
}

/** What is judged. */
export interface Target {
  open(hub: PlayedHub): Wire;
  enrol(method: 'enrol' | 'renew', request: Sealed): Promise<SealedAnswer>;
}

/** A member of the mesh that this program plays. */
export interface PlayedHub {
  readonly key: SigningKey;
  /** What secrets would be sealed to, X25519. */
  readonly sealingKey: Buffer;
  readonly certificate: Buffer;
  /** 16 bytes. */
  readonly machineId: Buffer;
  readonly trust: TrustBundle;
  /** The generation of its last Welcome. */
  generation: number;
}

/** A connector that this program plays, with the hub of its own machine. */
export interface PlayedConnector {
  readonly certificate: Buffer;
  readonly hub: PlayedHub;
  /** One stream of TrunkService.Trunk, nothing interpreted. */
  openTrunk(): Wire;
}

/** What the cloud's API says of a hub, to judge by something else than the stream. */
export interface Judge {
  /** How many readings are held of a log; 0 when it is unknown. */
  readingsHeld(machineId: Uint8Array, log: Uint8Array): Promise<number>;
  /** Ends a hub's membership. */
  retire(machineId: Uint8Array): Promise<void>;
}

export interface Bench {
  readonly target: Target;
  readonly hub: PlayedHub;
  readonly witness: PlayedHub | undefined;
  readonly api: Judge | undefined;
  /** What the hub enrolled with. */
  readonly token: EnrollmentToken | undefined;
  readonly connector: PlayedConnector | undefined;
  readonly clock: Clock;
  /** How long an answer may take. */
  readonly patience: Duration;
  /** Rules that are watched in every session: the first time that one was seen broken. */
  readonly seenBroken: Map<string, string>;
}
