// `occ readings watch`: a line for every reading, as the cloud stores it, until somebody ends it.
import type { Command } from 'commander';
import type { Reading } from '../../client/index.js';
import type { Names } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import { plainReading } from '../output/plain.js';
import { valuesText } from '../output/reading.js';
import { oneLine } from '../output/text.js';
import { iso } from '../output/times.js';
import { stateTone, stateWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';
import { LiveNames, watching } from '../watching.js';

export function addWatch(group: Command, terminal: Terminal): void {
  const watch = operatorFlags(group.command('watch'), terminal)
    .description('Readings as they arrive, until Ctrl-C; with --json one object per line')
    .option('--machine <machine>', 'only of this hub')
    .option('--customer <customer>', 'only of this customer');
  watch.action((options: { machine?: string; customer?: string }) =>
    operate(watch, terminal, async (session) => {
      const customerId = await session.customerId(options.customer);
      const machineId = options.machine === undefined ? undefined : (await session.hub(options.machine)).id;
      const names = new LiveNames(session);
      let afterPosition: string | undefined;
      return watching(
        terminal,
        () => session.client.readings.watchReadings({ customerId, machineId, afterPosition }),
        async ({ readings, position, missedSinceMs }) => {
          const since = iso(missedSinceMs);
          if (since) terminal.stderr.write(`readings since ${since} have been missed; see "occ readings range"\n`);
          for (const reading of readings) {
            const current = await names.current(`${reading.machineId}/${reading.sensor}`);
            terminal.stdout.write(line(reading, current, session));
          }
          afterPosition = position || afterPosition;
        },
      );
    }),
  );
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
