// A message as an e-mail reads: subject and body, plain text.

import { plainLine } from '../../kernel/text.js';
import type { AlarmRecord, NoticeRecord } from '../alarms/records.js';
import { atLeast } from '../alarms/telling.js';
import type { AlarmNames, Message } from './message.js';

const LONGEST_NAME = 64;
const LONGEST_MESSAGE = 400;

export interface EmailText {
  readonly subject: string;
  readonly text: string;
}

export function emailText({ id, notices }: Message, channelName: string, names: AlarmNames): EmailText {
  const channel = plainLine(channelName, LONGEST_NAME);
  const [worst, ...others] = [...notices].sort(byUrgency);
  if (!worst)
    return { subject: `Test of channel ${channel}`, text: `This is a trial message of channel ${channel}.\n` };
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  const parts = [worst, ...others].map((notice) => paragraph(notice, names));
  return {
    subject: `${headline(worst, names)}${more}`,
    text: `${parts.join('\n')}\n-- \noccmesh, channel ${channel}, message ${id}\n`,
  };
}

/** What is wrong comes before what is over, the worst first. */
function byUrgency(a: NoticeRecord, b: NoticeRecord): number {
  if ((a.notice === 'closed') !== (b.notice === 'closed')) return a.notice === 'closed' ? 1 : -1;
  if (a.alarm.severity === b.alarm.severity) return 0;
  return atLeast(a.alarm.severity, b.alarm.severity) ? -1 : 1;
}

/** `CRITICAL: disk on web-1 (Example Ltd)`. */
function headline({ notice, alarm }: NoticeRecord, names: AlarmNames): string {
  const { machineId, sensor, customerId, severity } = alarm;
  const name = (text: string) => plainLine(text, LONGEST_NAME);
  const machine = name(names.machine(machineId));
  const what = sensor === undefined ? machine : `${name(names.sensor(machineId, sensor))} on ${machine}`;
  return `${notice === 'closed' ? 'CLOSED' : severity.toUpperCase()}: ${what} (${name(names.customer(customerId))})`;
}

function paragraph(notice: NoticeRecord, names: AlarmNames): string {
  const message = plainLine(notice.alarm.message, LONGEST_MESSAGE);
  const lines = [headline(notice, names), message && `  ${message}`, `  ${history(notice)}`];
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}

function history({ notice, alarm }: NoticeRecord): string {
  const { id, cause, raisedAtMs, changedAtMs, closedAtMs } = alarm;
  const changed = notice === 'changed' ? `, changed ${time(changedAtMs)}` : '';
  const closed = closedAtMs === undefined ? '' : `, closed ${time(closedAtMs)}`;
  return `${CAUSES[cause]}, raised ${time(raisedAtMs)}${changed}${closed}, alarm ${id}`;
}

const CAUSES: { readonly [C in AlarmRecord['cause']]: string } = {
  sensor: 'measured',
  stale: 'no readings come',
  flapping: 'changes all the time',
  lost: 'no sign of life',
  quarantined: 'in quarantine',
};

const time = (ms: number): string => new Date(ms).toISOString().replace('.000', '');
