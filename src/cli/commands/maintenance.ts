// `occ maintenance …`: times in which nobody is told of alarms.
import type { Command } from 'commander';
import type { Maintenance } from '../../client/index.js';
import { every } from '../../client/index.js';
import type { Duration } from '../../kernel/duration.js';
import { flagReader } from '../config/settings.js';
import { usage } from '../fault.js';
import { type Names, namesOf } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import type { Paint } from '../output/colour.js';
import { plainMaintenance } from '../output/plain-events.js';
import { table } from '../output/table.js';
import { ago, span } from '../output/times.js';
import { pickById } from '../short-ids.js';
import type { Terminal } from '../terminal.js';
import { duration, moment } from '../values.js';

export function addMaintenance(program: Command, terminal: Terminal): void {
  const group = program.command('maintenance').description('Times in which nobody is told of alarms');
  addList(group, terminal);
  addPlan(group, terminal);
  addEnd(group, terminal);
}

function addList(group: Command, terminal: Terminal): void {
  const list = operatorFlags(group.command('list').description('What is planned or under way'), terminal).option(
    '--customer <customer>',
    'only of this customer',
  );
  list.action(({ customer }: { customer?: string }) =>
    operate(list, terminal, async (session) => {
      const all = await allOf(session, await session.customerId(customer));
      const names = await namesFor(session);
      return {
        json: all.map((one) => plainMaintenance(one, names)),
        text: (paint) => (all.length === 0 ? '' : show(all, names, session, paint)),
        ...(all.length === 0 ? { note: 'No maintenance is planned.' } : {}),
      };
    }),
  );
}

interface PlanFlags {
  readonly machine?: string;
  readonly customer?: string;
  readonly for?: Duration;
  readonly from?: number;
  readonly until?: number;
  readonly comment?: string;
  readonly cron?: string;
  readonly timeZone?: string;
}

function addPlan(group: Command, terminal: Terminal): void {
  const time = flagReader((text: string) => moment(text, terminal.clock.now()));
  const plan = operatorFlags(group.command('plan'), terminal)
    .description('Plan a maintenance, of a machine (a connector stands for its hubs, too) or of a whole customer')
    .option('--machine <machine>', 'of this machine')
    .option('--customer <customer>', 'of all machines of this customer')
    .option(
      '--for <duration>',
      'how long it takes',
      flagReader((text) => duration(text, '')),
    )
    .option('--from <time>', 'when it begins (default now); with --cron: not before', time)
    .option('--until <time>', 'when it ends, instead of --for; with --cron: not after', time)
    .option('--cron <expression>', 'when it begins, again and again: "0 3 * * 0" is Sundays at three')
    .option('--time-zone <zone>', 'for --cron: IANA name, such as Europe/Berlin (default UTC)')
    .option('--comment <text>', 'what for');
  plan.action((flags: PlanFlags) => {
    const times = timesOf(flags, terminal);
    if ((flags.machine === undefined) === (flags.customer === undefined))
      throw usage('it is not clear what is maintained', 'Say either --machine or --customer.');
    return operate(plan, terminal, async (session) => {
      const machine = flags.machine === undefined ? undefined : await session.machine(flags.machine);
      const customerId = await session.customerId(flags.customer);
      const { comment } = flags;
      const request = { customerId, machineId: machine?.id, comment, ...times };
      const planned = await session.client.maintenance.createMaintenance(request);
      const names = await namesFor(session);
      return { json: plainMaintenance(planned, names), text: (paint) => show([planned], names, session, paint) };
    });
  });
}

/** What of a request says when. Faults: cli.usage. */
function timesOf({ cron, timeZone = '', from, until, ...flags }: PlanFlags, terminal: Terminal) {
  const { for: length } = flags;
  if (cron !== undefined) {
    if (length === undefined) throw usage('it is not clear how long it takes each time', 'Say --for 2h.');
    return { fromMs: from, untilMs: until, schedule: { cron, timeZone, durationMs: length } };
  }
  if (timeZone !== '')
    throw usage('--time-zone is for --cron', 'Times have a zone of their own: 2026-01-31T14:00:00Z.');
  if ((length === undefined) === (until === undefined))
    throw usage('it is not clear when it ends', 'Say either --for 2h or --until TIME.');
  return { fromMs: from, untilMs: until ?? (from ?? terminal.clock.now()) + (length ?? 0) };
}

function addEnd(group: Command, terminal: Terminal): void {
  const end = operatorFlags(group.command('end <maintenance>'), terminal);
  end.description('End a maintenance now, or take back the plan (its id, or a beginning or end of it)');
  end.action((wanted: string) =>
    operate(end, terminal, async (session) => {
      const maintenance = pickById('maintenance', wanted, await allOf(session, undefined));
      await session.client.maintenance.endMaintenance({ id: maintenance.id });
      const names = await namesFor(session);
      return {
        json: plainMaintenance({ ...maintenance, active: false }, names),
        text: () => '',
        note: `The maintenance of ${whose(maintenance, names)} has ended.`,
      };
    }),
  );
}

async function allOf({ client }: Session, customerId: string | undefined): Promise<Maintenance[]> {
  const all: Maintenance[] = [];
  for await (const one of every(client.maintenance.listMaintenances, 'maintenances', { customerId })) all.push(one);
  return all;
}

async function namesFor(session: Session): Promise<Names> {
  const [customers, machines] = await Promise.all([session.customers(), session.machines()]);
  return namesOf({ customers, machines });
}

const whose = ({ customerId, machineId }: Maintenance, names: Names): string =>
  machineId === '' ? names.customer(customerId) : `${names.customer(customerId)}/${names.machine(machineId)}`;

function show(all: readonly Maintenance[], names: Names, { terminal }: Session, paint: Paint): string {
  const now = terminal.clock.now();
  const rows = all.map((one) => [
    { text: whose(one, names), tone: 'strong' } as const,
    one.active ? ({ text: 'under way', tone: 'warn' } as const) : 'planned',
    one.schedule ? `${one.schedule.cron} (${one.schedule.timeZone || 'UTC'})` : ago(one.fromMs, now),
    one.schedule ? span(one.schedule.durationMs) : span(Math.max(0, one.untilMs - one.fromMs)),
    one.untilMs === 0 ? 'never' : ago(one.untilMs, now),
    one.comment,
    one.id,
  ]);
  return table(['OF', 'STATE', 'BEGINS', 'TAKES', 'ENDS', 'COMMENT', 'ID'], rows, paint);
}
