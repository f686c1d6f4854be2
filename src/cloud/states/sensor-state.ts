// How one sensor is: a bad reading is suspected first (soft) and believed after so many in a row (hard); good ones are
// believed at once, and so are changes from bad to bad.
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { checkEdge, type Edges } from '../../kernel/machine.js';
import { ALL_CHANGES, type Changes, isFlapping, NO_CHANGES, noted } from './flapping.js';

export type SensorCondition = 'initialising' | 'ok' | 'warning' | 'critical' | 'unknown' | 'stale' | 'paused';

export const SENSOR_EDGES: Edges<SensorCondition> = {
  initialising: ['ok', 'warning', 'critical', 'unknown', 'stale', 'paused'],
  ok: ['warning', 'critical', 'unknown', 'stale', 'paused'],
  warning: ['ok', 'critical', 'unknown', 'stale', 'paused'],
  critical: ['ok', 'warning', 'unknown', 'stale', 'paused'],
  unknown: ['ok', 'warning', 'critical', 'stale', 'paused'],
  stale: ['ok', 'warning', 'critical', 'unknown', 'paused'],
  paused: ['initialising'],
};

const MEASURED: { readonly [state: number]: SensorCondition } = {
  [State.OK]: 'ok',
  [State.WARNING]: 'warning',
  [State.CRITICAL]: 'critical',
  [State.UNKNOWN]: 'unknown',
};

/** What others react to. */
export interface SensorVerdict {
  readonly condition: SensorCondition;
  readonly flapping: boolean;
}

/** There are hundreds of thousands: one flat object each. */
export class SensorState {
  #condition: SensorCondition;
  #isFlapping: boolean;
  #changes: Changes;
  /** Bad readings in a row that are not believed yet. */
  #attempt = 0;
  #last: State | undefined;

  constructor({ condition, flapping }: SensorVerdict = { condition: 'initialising', flapping: false }) {
    this.#condition = condition;
    this.#isFlapping = flapping;
    this.#changes = flapping ? ALL_CHANGES : NO_CHANGES;
  }

  get condition(): SensorCondition {
    return this.#condition;
  }

  get flapping(): boolean {
    return this.#isFlapping;
  }

  get attempt(): number {
    return this.#attempt;
  }

  /** A reading, in the order of the log. `attempts`: how many bad ones in a row are believed. True: the verdict is another. */
  measured(state: State, attempts: number): boolean {
    const before = this.#condition;
    const wasFlapping = this.#isFlapping;
    // One that was paused meanwhile has begun again.
    if (before === 'paused') this.#to('initialising');
    this.#changes = noted(this.#changes, this.#last !== undefined && this.#last !== state);
    this.#isFlapping = isFlapping(this.#changes, wasFlapping);
    this.#last = state;
    const next = MEASURED[state] ?? 'unknown';
    const isSuspicion = next !== 'ok' && (this.#condition === 'initialising' || this.#condition === 'ok');
    this.#attempt = isSuspicion ? this.#attempt + 1 : 0;
    if (!isSuspicion || this.#attempt >= attempts) {
      this.#attempt = 0;
      this.#to(next);
    }
    return before !== this.#condition || wasFlapping !== this.#isFlapping;
  }

  /** Its readings have stopped, it is not run any more, or it is run again. True: the verdict is another. */
  becomes(next: 'stale' | 'paused' | 'initialising'): boolean {
    const before = this.#condition;
    this.#attempt = 0;
    this.#to(next);
    return before !== this.#condition;
  }

  #to(next: SensorCondition): void {
    if (next === this.#condition) return;
    checkEdge('sensor', SENSOR_EDGES, this.#condition, next);
    this.#condition = next;
  }
}
