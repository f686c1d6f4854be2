// `occ alarms watch`: a line for everything that happens, until somebody ends it.
import type { Command } from 'commander';
import type { Event } from '../../client/index.js';
import { flagReader } from '../config/settings.js';
import type { Names } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import { handlingOf, placeOf, speakerOf } from '../output/alarm.js';
import type { Paint } from '../output/colour.js';
import { plainEvent } from '../output/plain-events.js';
import { oneLine } from '../output/text.js';
import { iso } from '../output/times.js';
import { alarmCauseWord, machineStateWord, stateTone, stateWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';
import { wholeNumber } from '../values.js';
import { LiveNames, watching } from '../watching.js';

export function addWatch(group: Command, terminal: Terminal): void {
  const watch = operatorFlags(group.command('watch'), terminal)
    .description('Alarms, machines, maintenance and messages as they happen, until Ctrl-C; with --json one per line')
    .option('--customer <customer>', 'only of this customer')
    .option(
      '--after <position>',
      'begin behind this position; default: with what comes',
      flagReader((text) => wholeNumber(0, Number.MAX_SAFE_INTEGER)(text, '')),
    );
  watch.action((options: { customer?: string; after?: number }) =>
    operate(watch, terminal, async (session) => {
      const customerId = await session.customerId(options.customer);
      const names = new LiveNames(session);
      let afterPosition = options.after;
      return watching(
        terminal,
        () => session.client.events.watchEvents({ customerId, afterPosition, withoutAudit: true }),
        async ({ events, position }) => {
          for (const event of events) terminal.stdout.write(line(event, await names.current(), session));
          afterPosition = position;
        },
      );
    }),
  );
}

function line(event: Event, names: Names, { json, paint }: Session): string {
  if (json) return `${JSON.stringify(plainEvent(event, names))}\n`;
  return `${paint('quiet', iso(event.atMs) ?? '')}  ${words(event, names, paint)}\n`;
}

function words({ what, atMs }: Event, names: Names, paint: Paint): string {
  switch (what?.$case) {
    case 'alarm': {
      const { severity, cause, message, closedAtMs } = what.value;
      const state = closedAtMs === 0 ? paint(stateTone(severity), stateWord(severity)) : paint('good', 'CLOSED');
      const parts = [state, oneLine(placeOf(what.value, names)), alarmCauseWord(cause), oneLine(message)];
      // Nothing else changes where somebody has only commented.
      const said = what.value.comments.filter((remark) => remark.atMs === atMs);
      const words = said.map((remark) => `${speakerOf(remark)}: ${remark.comment}`);
      return [...parts, ...[handlingOf(what.value, atMs), ...words].map((text) => oneLine(text))]
        .filter(Boolean)
        .join('  ');
    }
    case 'machine': {
      const { machineId, before, after } = what.value;
      return `machine ${oneLine(names.machine(machineId))}: ${machineStateWord(before)} → ${machineStateWord(after)}`;
    }
    case 'maintenance': {
      const { machineId, customerId, comment, active } = what.value;
      const whose = oneLine(machineId === '' ? names.customer(customerId) : names.machine(machineId));
      return `maintenance of ${whose}${active ? ', under way' : ''}  ${oneLine(comment)}`.trimEnd();
    }
    case 'delivery': {
      const { channelId, alarmIds, error } = what.value;
      const result = error === '' ? 'told' : paint('bad', `not told: ${oneLine(error)}`);
      return `channel ${channelId}: ${result} (${alarmIds.length} ${alarmIds.length === 1 ? 'alarm' : 'alarms'})`;
    }
    default:
      return 'something that this program does not know';
  }
}
