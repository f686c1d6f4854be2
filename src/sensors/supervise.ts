// One run of a sensor under supervision: whatever the sensor does (hang, throw, ignore its signal), an outcome comes
// within the timeout.
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { type Duration, formatDuration, milliseconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import { SensorFault } from './fault.js';
import type { Measurement, Sensor } from './kind.js';
import { redactor } from './redact.js';
import { NO_SECRETS, type SecretSource } from './secrets.js';

/** How long a sensor has after the timeout to say what the silence means. */
const LAST_WORD = milliseconds(100);

export interface SupervisedRun {
  /** What came out; rejects only with the reason of `lifetime`, as soon as that aborts. */
  readonly outcome: Promise<Measurement>;
  /** Resolves when the run has really ended, which may be never. */
  readonly ended: Promise<void>;
  readonly hasEnded: boolean;
}

const unknown = (message: string): Measurement => ({ values: [], state: State.UNKNOWN, message });

/** Starts a run. `lifetime` aborts when its result is no longer wanted. Secrets live for as long as the run does. */
export function supervise(
  sensor: Sensor,
  timeout: Duration,
  clock: Clock,
  lifetime: AbortSignal,
  source: SecretSource = NO_SECRETS,
): SupervisedRun {
  const control = new AbortController();
  const { promise: outcome, resolve, reject } = withResolvers<Measurement>();
  let hasEnded = false;

  const onLifetime = () => {
    control.abort(lifetime.reason);
    reject(lifetime.reason);
  };
  const onTimeout = () => {
    const late = new SensorFault('sensor.timeout', `timed out after ${formatDuration(timeout)}`);
    control.abort(late);
    timer = clock.after(LAST_WORD, () => resolve(unknown(late.message)));
  };
  let timer = clock.after(timeout, onTimeout);
  if (lifetime.aborted) onLifetime();
  lifetime.addEventListener('abort', onLifetime, { once: true });

  const run = async () => {
    const secrets = source.forRun();
    const { secrets: watched, redact } = redactor(secrets);
    try {
      const measurement = await sensor.measure(control.signal, watched);
      const values = measurement.values.map((value) => ({
        ...value,
        name: redact(value.name),
        unit: redact(value.unit),
      }));
      resolve({ ...measurement, values, ...defined({ message: measurement.message && redact(measurement.message) }) });
    } catch (thrown) {
      resolve(unknown(redact(describe(control.signal.aborted ? control.signal.reason : thrown))));
    } finally {
      secrets.wipe();
      hasEnded = true;
    }
  };
  const ended = run();
  const settled = outcome.finally(() => {
    timer.disarm();
    lifetime.removeEventListener('abort', onLifetime);
  });
  return {
    outcome: settled,
    ended,
    get hasEnded() {
      return hasEnded;
    },
  };
}

/** Promise.withResolvers, which Node 20 does not have. */
function withResolvers<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<T>((accept, refuse) => {
    resolve = accept;
    reject = refuse;
  });
  return { promise, resolve, reject };
}
