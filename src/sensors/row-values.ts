// What leaves the machine of the answer to a query: the numbers of its first row.
import { SensorFault } from './fault.js';
import type { MetricValue } from './kind.js';

const MAX_COLUMNS = 32;
const NUMBER = /^[+-]?\d{1,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?$/i;

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'boolean') return value ? 1 : 0;
  const text = typeof value === 'number' || typeof value === 'bigint' ? String(value) : value;
  return typeof text === 'string' && NUMBER.test(text.trim()) ? Number(text) : undefined;
}

/** `value/COLUMN`; nothing of a result without rows. Faults: sensor.unreadable when no column has a number. */
export function rowValues(columns: readonly string[], row: readonly unknown[] | undefined): MetricValue[] {
  if (!row) return [];
  const values = columns.slice(0, MAX_COLUMNS).flatMap((column, at): MetricValue[] => {
    const value = numberOf(row[at]);
    return value === undefined ? [] : [{ name: `value/${column}`, unit: '', value }];
  });
  if (values.length > 0) return values;
  throw new SensorFault('sensor.unreadable', 'the first row of the answer has no number');
}
