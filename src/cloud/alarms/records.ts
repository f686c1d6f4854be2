// What the cloud keeps of alarms, maintenance, channels and what waits to be told, as schemas. Forms and versions as in
// ../inventory/records.ts.
import { z } from 'zod';

const id = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const time = z.int();
export const SEVERITIES = ['warning', 'unknown', 'critical'] as const;
const severity = z.enum(SEVERITIES);
const cause = z.enum(['sensor', 'stale', 'flapping', 'lost', 'quarantined']);
const remark = z.object({ by: z.string(), atMs: time, comment: z.string() });
export type Remark = Readonly<z.infer<typeof remark>>;
export type Severity = z.infer<typeof severity>;
export type Cause = z.infer<typeof cause>;

/** What is wrong, without who and when. */
const trouble = z.object({ cause, severity });
export type Trouble = Readonly<z.infer<typeof trouble>>;

export const alarmSchema = z.object({
  v: z.literal(1),
  id,
  customerId: id,
  machineId: id,
  /** Its number; absent when it is about the machine. */
  sensor: z.int().positive().optional(),
  cause,
  severity,
  message: z.string(),
  raisedAtMs: time,
  changedAtMs: time,
  closedAtMs: time.optional(),
  acknowledgement: remark.optional(),
  comments: z.array(remark),
  silencedUntilMs: time.optional(),
  /** What channels have last been given to tell; absent: nothing, or its end. */
  told: trouble.optional(),
});
export type AlarmRecord = Readonly<z.infer<typeof alarmSchema>>;

export const maintenanceSchema = z.object({
  v: z.literal(1),
  id,
  customerId: id,
  /** Absent: all machines of the customer. */
  machineId: id.optional(),
  comment: z.string(),
  fromMs: time,
  /** Absent: by a schedule without end. */
  untilMs: time.optional(),
  schedule: z.object({ cron: z.string(), timeZone: z.string(), durationMs: z.int().positive() }).optional(),
  planned: remark,
});
export type MaintenanceRecord = Readonly<z.infer<typeof maintenanceSchema>>;

export const channelSchema = z.object({
  v: z.literal(1),
  id,
  /** Absent: alarms of all customers. */
  customerId: id.optional(),
  name: z.string(),
  way: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('webhook'), url: z.string() }),
    z.object({ kind: z.literal('email'), to: z.array(z.string()).min(1) }),
  ]),
  minSeverity: severity,
  deferMs: z.int().nonnegative(),
  /** Why the last try failed. */
  lastError: z.string().optional(),
});
export type ChannelRecord = Readonly<z.infer<typeof channelSchema>>;

/** Something to be told to one channel. */
export const noticeSchema = z.object({
  v: z.literal(1),
  /** In the order of their making. */
  id,
  channelId: id,
  /** The channel's; absent for one of all customers. */
  customerId: id.optional(),
  notice: z.enum(['raised', 'changed', 'closed']),
  /** As it was then. */
  alarm: alarmSchema,
  /** Not before. */
  dueMs: time,
  /** The message that it has gone into, once that was on its way: the same in every repetition. */
  deliveryId: id.optional(),
});
export type NoticeRecord = Readonly<z.infer<typeof noticeSchema>>;
