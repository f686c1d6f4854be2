// Readings of one sensor cut into days.
import type { SeriesArrays } from '../../../telemetry/columns-decode.js';
import { dayOf } from './block.js';

/** By day, ascending; each in the order in which it came. Costs readings, not days. */
export function byDay(series: readonly SeriesArrays[]): [day: number, parts: SeriesArrays[]][] {
  const days = new Map<number, SeriesArrays[]>();
  for (const whole of series) {
    const { takenAt } = whole;
    for (let from = 0; from < takenAt.length; ) {
      const day = dayOf(takenAt[from] as number);
      let to = from + 1;
      while (to < takenAt.length && dayOf(takenAt[to] as number) === day) to += 1;
      const parts = days.get(day);
      if (parts) parts.push(slice(whole, from, to));
      else days.set(day, [slice(whole, from, to)]);
      from = to;
    }
  }
  return [...days].sort(([a], [b]) => a - b);
}

const slice = ({ sensor, metrics, takenAt, state, values }: SeriesArrays, from: number, to: number): SeriesArrays => ({
  ...{ sensor, metrics, takenAt: takenAt.subarray(from, to), state: state.subarray(from, to) },
  values: values.map((column) => column.subarray(from, to)),
});
