// A reading for people.
import type { Reading, Value } from '../../client/index.js';
import type { Names } from '../names.js';
import type { Cell } from './table.js';
import { stateTone, stateWord } from './words.js';

const SHOWN_VALUES = 4;

/** With the time in the words of whoever shows it. */
export const readingCells = (reading: Reading, names: Names, taken: string): Cell[] => [
  names.machine(reading.machineId),
  { text: names.sensor(reading.machineId, reading.sensor), tone: 'strong' },
  { text: stateWord(reading.state), tone: stateTone(reading.state) },
  taken,
  valuesText(reading.values),
  reading.message,
];

/** `usage 12.5 %, load1 0.3`: the first few. */
export function valuesText(values: readonly Value[]): string {
  const shown = values.slice(0, SHOWN_VALUES).map(({ name, unit, value }) => `${name} ${quantity(value, unit)}`);
  const more = values.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes in units that people read; everything else with four significant digits. */
export function quantity(value: number, unit: string): string {
  if (unit !== 'By' && unit !== 'B') return `${short(value)}${unit === '' ? '' : ` ${unit}`}`;
  const step = Math.min(BINARY.length - 1, Math.max(0, Math.floor(Math.log2(Math.abs(value) || 1) / 10)));
  return `${short(value / 1_024 ** step)} ${BINARY[step]}`;
}

const short = (value: number): string =>
  Number.isInteger(value) && Math.abs(value) < 1e6 ? String(value) : String(Number(value.toPrecision(4)));
