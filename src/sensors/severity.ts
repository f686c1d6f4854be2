// The order of states: which of two counts when both are true.
import { State } from '../../gen/occmesh/telemetry/v1/telemetry.js';

/** A proven problem stands above a question, a question above health (as the monitoring plugins order them). */
const RANK = new Map([
  [State.OK, 0],
  [State.UNKNOWN, 1],
  [State.WARNING, 2],
  [State.CRITICAL, 3],
]);

export function worst(a: State, b: State): State {
  return (RANK.get(b) ?? 1) > (RANK.get(a) ?? 1) ? b : a;
}
