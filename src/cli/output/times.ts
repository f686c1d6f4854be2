// Moments and ages for people.
import { between, type EpochMs, epochMs, formatDuration, milliseconds } from '../../kernel/duration.js';

/** `3s ago`, `in 12m`, or `never` for 0. */
export function ago(ms: number, now: EpochMs): string {
  if (ms === 0) return 'never';
  if (ms > now) return `in ${formatDuration(between(now, epochMs(ms)))}`;
  return `${formatDuration(between(epochMs(ms), now))} ago`;
}

/** A span in milliseconds for people. */
export const span = (ms: number): string => formatDuration(milliseconds(ms));

/** ISO 8601 in UTC; undefined for 0, which means never. */
export function iso(ms: number): string | undefined {
  const date = new Date(ms);
  return ms === 0 || Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
