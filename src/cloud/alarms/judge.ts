// What ought to be an alarm: from how sensors and machines are to what is wrong with them, if anything.
import type { Liveness } from '../states/liveness.js';
import type { SensorVerdict } from '../states/sensor-state.js';
import type { Trouble } from './records.js';

/** `none`: all is well, or there is an explanation. `keep`: nothing can be said, so what is said already stays. */
export type Judgement = Trouble | 'none' | 'keep';

export function judgeSensor({ condition, flapping }: SensorVerdict): Judgement {
  if (condition === 'paused') return 'none';
  if (flapping) return { cause: 'flapping', severity: 'warning' };
  switch (condition) {
    case 'initialising':
      return 'keep';
    case 'ok':
      return 'none';
    case 'stale':
      return { cause: 'stale', severity: 'unknown' };
    default:
      return { cause: 'sensor', severity: condition };
  }
}

export interface MachineFacts {
  readonly liveness: Liveness;
  readonly retired: boolean;
  readonly quarantined: boolean;
  /** That it is gone is nothing to worry about. */
  readonly maySleep: boolean;
}

const LIVENESS: { readonly [L in Liveness]: Judgement } = {
  'never-seen': 'none',
  online: 'none',
  'shut-down': 'none',
  lost: { cause: 'lost', severity: 'critical' },
  waiting: 'keep',
  expected: 'keep',
  unreachable: 'keep',
};

export function judgeMachine({ liveness, retired, quarantined, maySleep }: MachineFacts): Judgement {
  if (retired) return 'none';
  if (quarantined) return { cause: 'quarantined', severity: 'critical' };
  if (maySleep && liveness === 'lost') return 'none';
  return LIVENESS[liveness];
}
