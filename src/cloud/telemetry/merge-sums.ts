// Adding sums to sums: what two sets of readings were is what both together were.
import type { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { worst } from '../../sensors/severity.js';
import type { MetricSums, StateSums } from './aggregate.js';

/** `places`: of each bucket of `from` its bucket in `to`, -1 for none. */
export function mergeStates(to: StateSums, places: Int32Array, from: StateSums): void {
  for (let i = 0; i < from.counts.length; i++) {
    const place = places[i] as number;
    if (place < 0) continue;
    const state = from.worst[i] as State;
    const count = to.counts[place] as number;
    to.counts[place] = count + (from.counts[i] as number);
    to.worst[place] = count === 0 ? state : worst(to.worst[place] as State, state);
  }
}

/** As mergeStates. Of values with the same timestamp the one of `from` is the last. */
export function mergeValues(to: MetricSums, places: Int32Array, from: MetricSums): void {
  for (let i = 0; i < from.counts.length; i++) {
    const place = places[i] as number;
    if (place < 0) continue;
    const count = to.counts[place] as number;
    const [minimum, maximum, at] = [from.minimums[i], from.maximums[i], from.lastAt[i]] as [number, number, number];
    to.counts[place] = count + (from.counts[i] as number);
    to.sums[place] = (to.sums[place] as number) + (from.sums[i] as number);
    if (count === 0 || minimum < (to.minimums[place] as number)) to.minimums[place] = minimum;
    if (count === 0 || maximum > (to.maximums[place] as number)) to.maximums[place] = maximum;
    if (count > 0 && at < (to.lastAt[place] as number)) continue;
    to.lasts[place] = from.lasts[i] as number;
    to.lastAt[place] = at;
  }
}
