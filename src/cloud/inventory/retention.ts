// How long a customer's readings are kept: as they were measured, and summed up.
import { type Duration, days, milliseconds } from '../../kernel/duration.js';
import { InventoryFault } from '../records/faults.js';
import type { CustomerRecord } from './records.js';

export interface Retention {
  readonly raw: Duration;
  readonly summaries: Duration;
}

export const DEFAULT_RETENTION: Retention = { raw: days(30), summaries: days(400) };
/** Longer than hubs keep what was acknowledged: what has expired is not to be sent again after a repair. */
export const SHORTEST_RETENTION: Duration = days(7);
export const LONGEST_RETENTION: Duration = days(3_660);

export interface RetentionChange {
  readonly rawRetentionMs?: number | undefined;
  readonly summaryRetentionMs?: number | undefined;
}

export const retentionOf = ({ rawRetentionMs, summaryRetentionMs }: RetentionChange): Retention => ({
  raw: milliseconds(rawRetentionMs ?? DEFAULT_RETENTION.raw),
  summaries: milliseconds(summaryRetentionMs ?? DEFAULT_RETENTION.summaries),
});

/** Faults: inventory.invalid (sums would go before what they are made of). */
export function changedRetention(old: CustomerRecord, change: RetentionChange): RetentionChange {
  const { rawRetentionMs = old.rawRetentionMs, summaryRetentionMs = old.summaryRetentionMs } = change;
  const { raw, summaries } = retentionOf({ rawRetentionMs, summaryRetentionMs });
  if (summaries < raw) {
    const message = `summary_retention_ms (${summaries}) must be at least raw_retention_ms (${raw})`;
    const field = change.summaryRetentionMs === undefined ? 'raw_retention_ms' : 'summary_retention_ms';
    throw new InventoryFault('inventory.invalid', message, { permanent: true, field });
  }
  return { rawRetentionMs, summaryRetentionMs };
}
