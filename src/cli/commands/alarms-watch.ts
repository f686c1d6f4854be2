// `occ alarms watch`: a line for everything that happens, until somebody ends it. A lost connection is made anew, and goes
// on where it ended.
import type { Command } from 'commander';
import { ContractFault, type Event } from '../../client/index.js';
import { sleep } from '../../kernel/clock.js';
import { type Duration, seconds } from '../../kernel/duration.js';
import { backoff, RECONNECT } from '../../kernel/retry.js';
import { printable } from '../../kernel/text.js';
import { flagReader } from '../config/settings.js';
import { type Names, namesOf } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import { handlingOf, placeOf } from '../output/alarm.js';
import type { Paint } from '../output/colour.js';
import { plainEvent } from '../output/plain-events.js';
import { oneLine } from '../output/text.js';
import { iso } from '../output/times.js';
import { alarmCauseWord, machineStateWord, stateTone, stateWord } from '../output/words.js';
import { wasCutShort } from '../report.js';
import type { Terminal } from '../terminal.js';
import { wholeNumber } from '../values.js';

/** Names are asked for anew at most this often. */
const REFRESH: Duration = seconds(5);

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
      try {
        for await (const event of eventsOf(session, customerId, options.after))
          terminal.stdout.write(line(event, await names.current(), session));
      } catch (thrown) {
        // Ended by the one who started it: that is what was wanted.
        if (!wasCutShort(thrown, terminal) && !terminal.interrupted.aborted) throw thrown;
      }
      return undefined;
    }),
  );
}

/** Each event once, over lost connections. What fails before the first answer is not tried again. */
async function* eventsOf(
  { client, terminal }: Session,
  customerId: string | undefined,
  after: number | undefined,
): AsyncGenerator<Event> {
  let position = after;
  let begun = false;
  let waits = backoff(RECONNECT, terminal.random);
  for (;;) {
    try {
      const request = { customerId, afterPosition: position, withoutAudit: true };
      for await (const message of client.events.watchEvents(request)) {
        begun = true;
        waits = backoff(RECONNECT, terminal.random);
        yield* message.events;
        ({ position } = message);
      }
    } catch (thrown) {
      if (!isPassing(thrown) || !begun || terminal.interrupted.aborted) throw thrown;
      terminal.stderr.write(`${printable(thrown.message)}; trying again\n`);
    }
    await sleep(terminal.clock, waits.next().value, terminal.interrupted);
  }
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
      return [...parts, oneLine(handlingOf(what.value, atMs))].filter(Boolean).join('  ');
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

const isPassing = (thrown: unknown): thrown is ContractFault => thrown instanceof ContractFault && !thrown.permanent;

class LiveNames {
  #names: Names = namesOf({});
  #askedAt: number | undefined;

  constructor(private readonly session: Session) {}

  async current(): Promise<Names> {
    const now = this.session.terminal.clock.monotonic();
    if (this.#askedAt !== undefined && now - this.#askedAt < REFRESH) return this.#names;
    this.#askedAt = now;
    try {
      const [customers, machines, sensors] = await Promise.all([
        this.session.customers(),
        this.session.machines({ includeRetired: true }),
        this.session.sensors(),
      ]);
      this.#names = namesOf({ customers, machines, sensors });
    } catch (thrown) {
      // Old names are good enough while the connection is lost.
      if (!isPassing(thrown) || this.session.terminal.interrupted.aborted) throw thrown;
    }
    return this.#names;
  }
}
