// What can go wrong with telemetry, as one union.
import { Fault } from '../kernel/fault.js';

export type TelemetryCode =
  /** Received bytes do not follow the format. Receiving them again cannot help. */
  | 'telemetry.malformed'
  /** A reading or a batch of our own breaks the contract; it must not be written down. */
  | 'telemetry.invalid'
  /** A batch of our own would pass a limit of the format: seal fewer flushes. */
  | 'telemetry.too-large';

export class TelemetryFault extends Fault<TelemetryCode> {}

/** For received bytes that break the format; `what` says where, in the words of the contract. */
export function malformed(what: string, cause?: unknown): TelemetryFault {
  return new TelemetryFault('telemetry.malformed', `malformed telemetry: ${what}`, { cause, permanent: true });
}
