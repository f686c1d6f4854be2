// `occ readings watch`: a line for every reading, as the cloud stores it, until somebody ends it. A lost
// connection is made anew, and goes on where it ended.
import type { Command } from 'commander';
import { ContractFault, type Reading } from '../../client/index.js';
import { sleep } from '../../kernel/clock.js';
import { type Duration, seconds } from '../../kernel/duration.js';
import { backoff, RECONNECT } from '../../kernel/retry.js';
import { printable } from '../../kernel/text.js';
import { type Names, namesOf } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import { plainReading } from '../output/plain.js';
import { valuesText } from '../output/reading.js';
import { oneLine } from '../output/text.js';
import { iso } from '../output/times.js';
import { stateTone, stateWord } from '../output/words.js';
import { wasCutShort } from '../report.js';
import type { Terminal } from '../terminal.js';

/** Names of new sensors are asked for at most this often. */
const REFRESH: Duration = seconds(5);

export function addWatch(group: Command, terminal: Terminal): void {
  const watch = operatorFlags(group.command('watch'), terminal)
    .description('Readings as they arrive, until Ctrl-C; with --json one object per line')
    .option('--machine <machine>', 'only of this hub')
    .option('--customer <customer>', 'only of this customer');
  watch.action((options: { machine?: string; customer?: string }) =>
    operate(watch, terminal, async (session) => {
      const customerId = await session.customerId(options.customer);
      const machine = options.machine === undefined ? undefined : await session.hub(options.machine);
      const names = new LiveNames(session);
      try {
        for await (const reading of readingsOf(session, { customerId, machineId: machine?.id }))
          terminal.stdout.write(line(reading, await names.for(reading), session));
      } catch (thrown) {
        // Ended by the one who started it: that is what was wanted.
        if (!wasCutShort(thrown, terminal) && !terminal.interrupted.aborted) throw thrown;
      }
      return undefined;
    }),
  );
}

/** Each reading, over lost connections, too. What fails before the first answer is not tried again. */
async function* readingsOf(
  { client, terminal }: Session,
  filter: { readonly customerId: string | undefined; readonly machineId: string | undefined },
): AsyncGenerator<Reading> {
  let afterPosition: string | undefined;
  let waits = backoff(RECONNECT, terminal.random);
  for (;;) {
    try {
      for await (const message of client.readings.watchReadings({ ...filter, afterPosition })) {
        waits = backoff(RECONNECT, terminal.random);
        const since = iso(message.missedSinceMs);
        if (since) terminal.stderr.write(`readings since ${since} have been missed; see "occ readings range"\n`);
        yield* message.readings;
        afterPosition = message.position || afterPosition;
      }
    } catch (thrown) {
      const isPassing = thrown instanceof ContractFault && !thrown.permanent && afterPosition !== undefined;
      if (!isPassing || terminal.interrupted.aborted) throw thrown;
      terminal.stderr.write(`${printable(thrown.message)}; trying again\n`);
    }
    await sleep(terminal.clock, waits.next().value, terminal.interrupted);
  }
}

function line(reading: Reading, names: Names, { json, paint }: Session): string {
  if (json) return `${JSON.stringify(plainReading(reading, names))}\n`;
  const state = paint(stateTone(reading.state), stateWord(reading.state).padEnd(8));
  const where = oneLine(`${names.machine(reading.machineId)}/${names.sensor(reading.machineId, reading.sensor)}`);
  const what = [valuesText(reading.values), reading.message].filter((text) => text !== '').map((text) => oneLine(text));
  return (
    `${paint('quiet', iso(reading.takenAtMs) ?? '')}  ${state}  ${where.padEnd(24)}  ${what.join('  ')}`.trimEnd() +
    '\n'
  );
}

/** Names that are looked up when an unknown sensor turns up. */
class LiveNames {
  #names: Names = namesOf({});
  #known = new Set<string>();
  #askedAt: number | undefined;

  constructor(private readonly session: Session) {}

  async for(reading: Reading): Promise<Names> {
    const { clock } = this.session.terminal;
    const now = clock.monotonic();
    const stale = this.#askedAt === undefined || now - this.#askedAt >= REFRESH;
    if (stale && !this.#known.has(`${reading.machineId}/${reading.sensor}`)) {
      this.#askedAt = now;
      const [machines, sensors] = await Promise.all([
        this.session.machines({ includeRetired: true }),
        this.session.sensors(),
      ]);
      this.#names = namesOf({ machines, sensors });
      this.#known = new Set(sensors.map(({ id }) => id));
    }
    return this.#names;
  }
}
