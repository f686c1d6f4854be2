// What the API needs besides the inventory: how machines are right now, a way to reach them, and the facts of the mesh
// that a new machine has to be told.
import type { MachineState, SensorState } from '../../../gen/occmesh/inventory/v1/inventory.js';
import type { Path, Result } from '../../../gen/occmesh/link/v1/link.js';

/** How a machine is right now, as its sessions show. */
export interface MachinePresence {
  readonly state: MachineState;
  readonly path: Path;
  /** UUID text; empty when it does not apply. */
  readonly connectorId: string;
  /** Milliseconds since 1970-01-01T00:00:00Z; 0 for never. */
  readonly lastSeenMs: number;
  readonly queuedReadings: number;
  readonly queuedAgeMs: number;
  readonly clockOffsetMs: number;
  readonly software: string;
  /** Of a connector: hubs connected now. */
  readonly hubCount: number;
  /** Of a hub that is direct: the connector that it had is lost. */
  readonly connectorLost: boolean;
}

export interface InMaintenance {
  /** Whether nobody is told of this machine's alarms for now. */
  covers(machineId: string): boolean;
}

/** How a sensor is right now, as its readings show. */
export interface SensorStates {
  /** Also answers for sensors that have never said anything. */
  of(
    machineId: string,
    sensor: number,
  ): { readonly state: SensorState; readonly attempt: number; readonly flapping: boolean };
}

export interface Presence {
  /** Also answers for machines that were never heard of. */
  of(machineId: string): MachinePresence;
}

export interface Commands {
  /** Runs a sensor now. Rejects when the hub has no session; resolves with OUTCOME_UNKNOWN when that ends too early. */
  runSensor(machineId: string, sensorNumber: number, signal: AbortSignal): Promise<Result>;
}

/** What stands in every enrolment token. */
export interface MeshFacts {
  /** Where machines reach the cloud: host:port. */
  readonly cloud: string;
  /** The CA bundle, DER. */
  readonly caCertificates: readonly Uint8Array[];
  /** The public key of the enrolment envelope, X25519, 32 bytes. */
  readonly enrollmentKey: Uint8Array;
}
