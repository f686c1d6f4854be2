// Who is to be told of an alarm, and what: pure rules, asked whenever something about it has changed.
import type { AlarmRecord, ChannelRecord, NoticeRecord, Severity, Trouble } from './records.js';

const RANK: { readonly [S in Severity]: number } = { warning: 1, unknown: 2, critical: 3 };

export const atLeast = (severity: Severity, least: Severity): boolean => RANK[severity] >= RANK[least];

/** What everybody who wants to hear of this alarm should know by now; undefined when there is nothing (any more). */
export function toBeKnown(alarm: AlarmRecord, inMaintenance: boolean, now: number): Trouble | undefined {
  if (alarm.closedAtMs !== undefined) return undefined;
  const { cause, severity, told, acknowledgement, silencedUntilMs = 0 } = alarm;
  if (inMaintenance || now < silencedUntilMs) return told;
  // Whoever takes care of it knows; that it gets worse is news.
  if (acknowledgement && !(told && RANK[severity] > RANK[told.severity])) return told;
  return { cause, severity };
}

/** What a channel is to be told when `before` was known and `after` is now; undefined for nothing. */
export function noticeFor(
  { minSeverity }: Pick<ChannelRecord, 'minSeverity'>,
  before: Trouble | undefined,
  after: Trouble | undefined,
): NoticeRecord['notice'] | undefined {
  const had = before !== undefined && atLeast(before.severity, minSeverity);
  const has = after !== undefined && atLeast(after.severity, minSeverity);
  if (has) return had ? 'changed' : 'raised';
  return had ? 'closed' : undefined;
}

export const sameTrouble = (a: Trouble | undefined, b: Trouble | undefined): boolean =>
  a?.cause === b?.cause && a?.severity === b?.severity;

/**
 * What one channel is to be told of one alarm when `waiting` has not been told yet and `next` comes on top of it;
 * undefined for nothing: what was never told need not be taken back.
 */
export function joined(
  waiting: NoticeRecord['notice'],
  next: NoticeRecord['notice'],
): NoticeRecord['notice'] | undefined {
  if (waiting === 'raised') return next === 'closed' ? undefined : 'raised';
  return next === 'closed' ? 'closed' : 'changed';
}
