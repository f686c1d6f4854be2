// Which ranges become one. A merge always lifts what it takes to a higher step, so that a reading is written again once
// for each step at most, however many there are.
import { chainStart } from '../../../telemetry/chain.js';
import { type HeldRange, isMerged } from '../held.js';

/** Sizes of ranges: readings of each sensor. What has reached the last one stays as it is. Ascending. */
export type Steps = readonly [number, ...number[]];

/** The first is as few as take less in a block than in batches of 100, the last most of an hour of a reading per second. */
export const STEPS: Steps = [128, 3_072];
/** Readings of all sensors together: no range is meant to have more, however many sensors there are. */
const MOST_READINGS = 96 * 1_024;

/** Neighbours, at least two, and the chain before the first of them. */
export interface Merge {
  readonly parts: readonly HeldRange[];
  readonly start: Buffer;
}

/** Readings from which on a range of so many sensors has reached a step. */
export const sizeOf = (step: number, sensors: number): number => Math.min(step * Math.max(1, sensors), MOST_READINGS);

export const hasReachedLast = (readings: number, sensors: number, steps: Steps): boolean =>
  readings >= sizeOf(steps.at(-1) as number, sensors);

/**
 * What should be merged first of `ranges`: ascending, of one log, as far as they are known. With `anyway`, also what
 * reaches no step.
 */
export function nextMerge(ranges: readonly HeldRange[], steps: Steps, anyway = false): Merge | undefined {
  for (const run of runsOf(ranges)) {
    const sensors = Math.max(...run.map(({ entry }) => entry.sensorCount));
    for (const step of anyway ? steps.slice(-1) : steps) {
      const parts = neighboursBelow(sizeOf(step, sensors), run, anyway);
      const before = parts?.[0] && ranges[ranges.indexOf(parts[0]) - 1];
      const start = parts?.[0] && chainBefore(parts[0], before);
      if (parts && start) return { parts, start };
    }
  }
  return undefined;
}

/** Neighbours that may be merged: no hole between them, none settled, and the chain before the first is known. */
function runsOf(ranges: readonly HeldRange[]): HeldRange[][] {
  const runs: HeldRange[][] = [];
  let run: HeldRange[] = [];
  for (const [i, range] of ranges.entries()) {
    const before = ranges[i - 1];
    const touches = before?.end === range.first;
    if (!touches || before.entry.settled) run = [];
    if (range.entry.settled || (run.length === 0 && !chainBefore(range, before))) continue;
    if (run.push(range) === 1) runs.push(run);
  }
  return runs;
}

function chainBefore({ log, first, entry }: HeldRange, before: HeldRange | undefined): Buffer | undefined {
  if (first === 0) return chainStart(log);
  if (before?.end === first) return Buffer.from(before.entry.chain);
  return isMerged(entry) ? Buffer.from(entry.chainBefore) : undefined;
}

/** Ranges below `size` that stand side by side and reach it together. */
function neighboursBelow(size: number, run: readonly HeldRange[], anyway: boolean): HeldRange[] | undefined {
  let parts: HeldRange[] = [];
  let readings = 0;
  for (const range of run) {
    if (range.entry.readingCount < size) {
      parts.push(range);
      readings += range.entry.readingCount;
      if (readings >= size) return parts;
    } else {
      if (anyway && parts.length > 1) return parts;
      [parts, readings] = [[], 0];
    }
  }
  return anyway && parts.length > 1 ? parts : undefined;
}
