// The tables of alarms and all that belongs to them.
import { uuidBytes } from '../../identity/uuid.js';
import { StoredTable } from '../records/stored-table.js';
import { customerKey, tableKey } from '../tables.js';
import {
  type AlarmRecord,
  alarmSchema,
  type ChannelRecord,
  channelSchema,
  type MaintenanceRecord,
  maintenanceSchema,
  type NoticeRecord,
  noticeSchema,
} from './records.js';

/** What an alarm is about: a machine, or one of its sensors. */
export interface Subject {
  readonly machineId: string;
  readonly sensor?: number | undefined;
}

export const subjectName = ({ machineId, sensor }: Subject): string =>
  sensor === undefined ? machineId : `${machineId}/${sensor}`;

/** The alias of what a channel is to be told of an alarm next. */
export const noticeName = (channelId: string, alarmId: string): string => `${channelId}/${alarmId}`;

export class AlarmTables {
  /** Grouped by machine; the alias of an open one is its subject. */
  readonly alarms = new StoredTable<AlarmRecord>('alarm', alarmSchema, {
    idOf: (alarm) => alarm.id,
    groupOf: (alarm) => alarm.machineId,
    aliasesOf: (alarm) => (alarm.closedAtMs === undefined ? [subjectName(alarm)] : []),
    keyOf: (alarm) => tableKey(uuidBytes(alarm.customerId), 'alarm', uuidBytes(alarm.id)),
  });

  /** Grouped by customer. */
  readonly maintenances = new StoredTable<MaintenanceRecord>('maintenance', maintenanceSchema, {
    idOf: (maintenance) => maintenance.id,
    groupOf: (maintenance) => maintenance.customerId,
    keyOf: (maintenance) => tableKey(uuidBytes(maintenance.customerId), 'maintenance', uuidBytes(maintenance.id)),
  });

  /** Grouped by customer; the empty group is for alarms of all. */
  readonly channels = new StoredTable<ChannelRecord>('channel', channelSchema, {
    idOf: (channel) => channel.id,
    groupOf: (channel) => channel.customerId ?? '',
    keyOf: (channel) => tableKey(customerKey(channel.customerId), 'channel', uuidBytes(channel.id)),
  });

  /** Grouped by channel; of each alarm at most one is not yet on its way, which its alias finds. */
  readonly notices = new StoredTable<NoticeRecord>('notice', noticeSchema, {
    idOf: (notice) => notice.id,
    groupOf: (notice) => notice.channelId,
    aliasesOf: ({ channelId, alarm, deliveryId }) =>
      deliveryId === undefined ? [noticeName(channelId, alarm.id)] : [],
    keyOf: (notice) => tableKey(customerKey(notice.customerId), 'notice', uuidBytes(notice.id)),
  });

  readonly list = [this.alarms, this.maintenances, this.channels, this.notices] as const;
}
