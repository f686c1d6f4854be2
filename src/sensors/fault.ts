// What can go wrong with sensors, as errors with a code. A fault of one sensor never reaches another: the scheduler
// turns it into a reading with the state UNKNOWN and the fault's message.
import { Fault } from '../kernel/fault.js';

export type SensorFaultCode =
  /** Kind, settings, interval or timeout of a configuration are wrong. Permanent. */
  | 'sensor.configuration'
  /** A threshold cannot be read. Permanent. */
  | 'sensor.threshold'
  /** This machine cannot measure it. Permanent. */
  | 'sensor.unsupported'
  /** What should be measured is not there or not readable. */
  | 'sensor.unreadable'
  /** The regular expression takes too long on what it is matched against. Permanent. */
  | 'sensor.pattern'
  /** A program may not be run, for reasons of security. */
  | 'sensor.refused'
  /** A secret is missing, void for this target, or cannot be opened. */
  | 'sensor.secret'
  /** The run took longer than the configuration allows. */
  | 'sensor.timeout'
  /** The sensor has been removed, or its scheduler has ended. */
  | 'sensor.stopped'
  /** There is no such sensor, or it is paused. */
  | 'sensor.not-running';

export class SensorFault extends Fault<SensorFaultCode> {}

export const unsupported = (why: string): SensorFault =>
  new SensorFault('sensor.unsupported', `unsupported here: ${why}`, { permanent: true });
