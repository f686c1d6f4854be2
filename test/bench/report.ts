// The results: for programs a list of plain records, for people a table with what was aimed at.
import { table } from '../../src/cli/output/table.js';
import type { Figure } from './part.js';
import { reaches, targetOf } from './targets.js';

/** A line of bench.json. */
export interface Result {
  readonly part: string;
  readonly figure: string;
  readonly at: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

/** Throws when a figure is none: nothing was measured, or what was measured is no number. */
export function resultOf(part: string, { figure, at, unit, values }: Figure): Result {
  if (values.length === 0 || !values.every(Number.isFinite)) {
    throw new Error(`${part}: "${figure}" at "${at}" has no value: ${JSON.stringify(values)}`);
  }
  return {
    part,
    figure,
    at,
    unit,
    median: rounded(median(values)),
    min: rounded(Math.min(...values)),
    max: rounded(Math.max(...values)),
    runs: values.length,
  };
}

export function tableOf(results: readonly Result[]): string {
  const rows = results.map((result, i) => {
    const { part, figure, at, unit, min, max } = result;
    const target = targetOf(part, figure, at);
    const sign = target?.better === 'more' ? '≥' : '≤';
    return [
      results[i - 1]?.part === part ? '' : part,
      figure,
      at,
      `${number(result.median)} ${unit}`,
      min === max ? '' : `${number(min)} … ${number(max)}`,
      target ? `${sign} ${number(target.target)} (${number(target.stretch)})` : '',
      target ? verdict(result.median, target) : '',
    ];
  });
  return table(['PART', 'FIGURE', 'AT', 'MEDIAN', 'SPREAD', 'TARGET (BETTER)', ''], rows, (_, text) => text);
}

function verdict(value: number, target: NonNullable<ReturnType<typeof targetOf>>): string {
  if (!reaches(value, target.target, target)) return 'missed';
  return reaches(value, target.stretch, target) ? 'reached, better too' : 'reached';
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = [sorted[sorted.length % 2 === 1 ? middle : middle - 1], sorted[middle]];
  return (low + high) / 2;
}

/** The value below which `share` (0…1) of all values lie; the nearest of them. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

/** Four significant digits: more is noise. */
const rounded = (value: number): number => Number(value.toPrecision(4));

const number = (value: number): string => value.toLocaleString('en', { maximumSignificantDigits: 3 });
