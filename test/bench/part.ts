// What a part of the benchmark is, and what it is given. Each part stands in parts/; main.ts runs them.
import type { Clock } from '../../src/kernel/clock.js';
import type { Random } from '../../src/kernel/random.js';
import type { Scope } from '../../src/kernel/scope.js';

export interface Part {
  readonly name: string;
  /** In one line, for people. */
  readonly about: string;
  run(context: BenchContext): Promise<readonly Figure[]>;
}

/** Something that was measured, once per run. */
export interface Figure {
  /** What, in words that stay the same: targets.ts knows it by them. */
  readonly figure: string;
  /** Under which circumstances; empty where there is only one. */
  readonly at: string;
  readonly unit: string;
  /** One of each run. */
  readonly values: readonly number[];
}

export interface BenchContext {
  /** How often each figure is to be measured. */
  readonly runs: number;
  /** Everything tiny: only to see that it still works. */
  readonly smoke: boolean;
  /** An empty folder on a disk that syncs; gone after the part. What ends in `.log` there is shown when the part fails. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Owns the processes of the part: they have ended when the part has, however it ends. */
  readonly scope: Scope;
  /** Where the processes of the part leave profiles of their processor time, if at all. */
  readonly profiles: string | undefined;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Tells what is being done now. */
  progress(step: string): void;
}

/** One figure of one run. */
export interface Sample extends Omit<Figure, 'values'> {
  readonly value: number;
}

/** The samples of all runs, gathered by what they are of, in the order in which they first come. */
export function figuresOf(samples: readonly Sample[]): Figure[] {
  const found = new Map<string, Figure & { values: number[] }>();
  for (const { value, ...what } of samples) {
    const name = `${what.figure} ${what.at}`;
    const known = found.get(name) ?? { ...what, values: [] };
    known.values.push(value);
    found.set(name, known);
  }
  return [...found.values()];
}

/** The same figures, with what differs only in its circumstances together. */
export function sideBySide(figures: readonly Figure[]): Figure[] {
  const names = [...new Set(figures.map(({ figure }) => figure))];
  return names.flatMap((name) => figures.filter(({ figure }) => figure === name));
}
