// `occ alarms …`: what is wrong, and what people do about it.
import type { Command } from 'commander';
import type { Alarm, AlarmCause, State } from '../../client/index.js';
import { type Duration, type EpochMs, minutes } from '../../kernel/duration.js';
import { ALARM_CAUSES, choice, SEVERITIES, wordsOf } from '../choices.js';
import { flagReader, flagsReader } from '../config/settings.js';
import { usage } from '../fault.js';
import { type Names, namesOf } from '../names.js';
import { type Answer, operate, operatorFlags, type Session } from '../operator.js';
import { handlingOf, placeOf, speakerOf } from '../output/alarm.js';
import type { Paint } from '../output/colour.js';
import { plainAlarm } from '../output/plain-events.js';
import { table } from '../output/table.js';
import { ago } from '../output/times.js';
import { alarmCauseWord, stateTone, stateWord } from '../output/words.js';
import { pickById } from '../short-ids.js';
import type { Terminal } from '../terminal.js';
import { duration, moment } from '../values.js';
import { addWatch } from './alarms-watch.js';

export function addAlarms(program: Command, terminal: Terminal): void {
  const group = program.command('alarms').description('What is wrong, and what people do about it');
  addList(group, terminal);
  addRemarks(group, terminal);
  addSilence(group, terminal);
  addWatch(group, terminal);
}

interface ListOptions {
  readonly customer?: string;
  readonly machine?: string;
  readonly closed?: boolean;
  readonly minSeverity?: State;
  readonly cause?: readonly AlarmCause[];
}

function addList(group: Command, terminal: Terminal): void {
  const list = operatorFlags(group.command('list', { isDefault: true }), terminal)
    .description('Open alarms, newest first')
    .option('--customer <customer>', 'only of this customer')
    .option('--machine <machine>', 'only of this machine and its sensors')
    .option('--closed', 'closed ones, too')
    .option('--min-severity <severity>', `only this or worse: ${wordsOf(SEVERITIES)}`, flagReader(choice(SEVERITIES)))
    .option(
      '--cause <cause>',
      `only of this cause (repeatable): ${wordsOf(ALARM_CAUSES)}`,
      flagsReader(choice(ALARM_CAUSES)),
    );
  list.action(({ minSeverity, cause, ...options }: ListOptions) =>
    operate(list, terminal, async (session) => {
      const customerId = await session.customerId(options.customer);
      const machine = options.machine === undefined ? undefined : await session.machine(options.machine);
      const { closed: includeClosed = false } = options;
      const alarms = await session.alarms({
        ...{ customerId, machineId: machine?.id, includeClosed },
        ...{ minSeverity, causes: cause && [...cause] },
      });
      const isFiltered = minSeverity !== undefined || cause !== undefined;
      const names = await alarmNames(session);
      return {
        json: alarms.map((alarm) => plainAlarm(alarm, names)),
        text: (paint) => (alarms.length === 0 ? '' : show(alarms, names, session, paint)),
        ...(alarms.length === 0
          ? { note: `There is no ${includeClosed ? '' : 'open '}alarm${isFiltered ? ' that fits' : ''}.` }
          : {}),
      };
    }),
  );
}

function addRemarks(group: Command, terminal: Terminal): void {
  const ack = operatorFlags(group.command('ack <alarm>'), terminal)
    .description('Take care of an alarm: nobody is told of it any more unless it gets worse')
    .option('--comment <text>', 'what for others to know');
  ack.action((wanted: string, { comment }: { comment?: string }) =>
    change(ack, terminal, wanted, ({ client }, { id }) => client.alarms.acknowledgeAlarm({ id, comment })),
  );

  const comment = operatorFlags(group.command('comment <alarm> <text>').description('Comment on an alarm'), terminal);
  comment.action((wanted: string, text: string) =>
    change(comment, terminal, wanted, ({ client }, { id }) => client.alarms.commentAlarm({ id, comment: text })),
  );
}

function addSilence(group: Command, terminal: Terminal): void {
  const silence = operatorFlags(group.command('silence <alarm>'), terminal)
    .description('Nobody is told of an alarm for some time; "--until now" ends that')
    .option(
      '--for <duration>',
      'for so long',
      flagReader((text) => duration(text, '')),
    )
    .option(
      '--until <time>',
      'until then',
      flagReader((text) => moment(text, terminal.clock.now())),
    );
  silence.action((wanted: string, options: { for?: Duration; until?: number }) => {
    if ((options.for === undefined) === (options.until === undefined)) {
      throw usage('it is not clear for how long', 'Say --for 2h or --until TIME.');
    }
    const now = terminal.clock.now();
    const untilMs = options.until ?? now + (options.for ?? 0);
    if (untilMs < now - minutes(1)) throw usage('that time is over', 'Say "--until now" to end a silence.');
    return change(silence, terminal, wanted, ({ client }, { id }) => client.alarms.silenceAlarm({ id, untilMs }));
  });
}

function change(
  command: Command,
  terminal: Terminal,
  wanted: string,
  act: (session: Session, alarm: Alarm) => Promise<Alarm>,
): Promise<void> {
  return operate(command, terminal, async (session): Promise<Answer> => {
    const alarm = pickById('alarm', wanted, await session.alarms({ includeClosed: true }));
    const changed = await act(session, alarm);
    const names = await alarmNames(session);
    return { json: plainAlarm(changed, names), text: (paint) => show([changed], names, session, paint) };
  });
}

/** Retired machines, too: their alarms are history. */
async function alarmNames(session: Session): Promise<Names> {
  const [customers, machines, sensors] = await Promise.all([
    session.customers(),
    session.machines({ includeRetired: true }),
    session.sensors(),
  ]);
  return namesOf({ customers, machines, sensors });
}

function show(alarms: readonly Alarm[], names: Names, { terminal }: Session, paint: Paint): string {
  const now = terminal.clock.now();
  const rows = alarms.map((alarm) => [
    { text: stateWord(alarm.severity), tone: alarm.closedAtMs === 0 ? stateTone(alarm.severity) : 'quiet' } as const,
    alarmCauseWord(alarm.cause),
    { text: placeOf(alarm, names), tone: 'strong' } as const,
    alarm.message,
    ago(alarm.raisedAtMs, now),
    handlingOf(alarm, now) || 'open',
    alarm.id,
  ]);
  return (
    table(['SEVERITY', 'CAUSE', 'WHERE', 'MESSAGE', 'RAISED', 'STATE', 'ID'], rows, paint) +
    comments(alarms, now, paint)
  );
}

/** Below the table, since there may be many of one alarm; nothing where there are none. */
function comments(alarms: readonly Alarm[], now: EpochMs, paint: Paint): string {
  const rows = alarms.flatMap((alarm) =>
    alarm.comments.map((remark) => [remark.comment, speakerOf(remark), ago(remark.atMs, now), alarm.id]),
  );
  return rows.length === 0 ? '' : `\n${table(['COMMENT', 'BY', 'WHEN', 'ID'], rows, paint)}`;
}
