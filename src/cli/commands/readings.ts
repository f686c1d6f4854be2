// `occ readings …`: what was measured.
import type { Command } from 'commander';
import type { MissingSpan, Reading } from '../../client/index.js';
import type { Duration, EpochMs } from '../../kernel/duration.js';
import { flagReader } from '../config/settings.js';
import { usage } from '../fault.js';
import { type Names, namesOf } from '../names.js';
import { type Answer, operate, operatorFlags, type Session } from '../operator.js';
import { missingNote, noteOf } from '../output/missing.js';
import { plainMissing, plainReading } from '../output/plain.js';
import { readingCells } from '../output/reading.js';
import { table } from '../output/table.js';
import { ago, iso } from '../output/times.js';
import type { Terminal } from '../terminal.js';
import { type Beginning, beginning, moment, someTime, spansFrom, wholeNumber } from '../values.js';
import { Newest } from './newest.js';
import { bucketsAnswer, SPANS } from './reading-buckets.js';
import { addExport } from './readings-export.js';
import { addWatch } from './readings-watch.js';

const LIMIT = 1_000;
const MAX_LIMIT = 1_000_000;

export function addReadings(program: Command, terminal: Terminal): void {
  const group = program.command('readings').description('What was measured');
  addLatest(group, terminal);
  addRange(group, terminal);
  addWatch(group, terminal);
  addExport(group, terminal);
}

const several = (text: string, before: readonly string[] = []) => [...before, text];

function addLatest(group: Command, terminal: Terminal): void {
  const latest = operatorFlags(group.command('latest').description('The latest reading of every sensor'), terminal)
    .option('--machine <machine>', 'only of this hub')
    .option('--customer <customer>', 'only of this customer')
    .option('--sensor <sensor>', 'only of this sensor (id, name, or hub/name; repeatable)', several);
  latest.action(({ sensor = [], ...options }: { machine?: string; customer?: string; sensor?: readonly string[] }) => {
    if (sensor.length > 0 && (options.machine !== undefined || options.customer !== undefined)) {
      throw usage('it is not clear what is meant', 'Say --sensor alone, or --machine and --customer.');
    }
    return operate(latest, terminal, async (session) => {
      const customerId = await session.customerId(options.customer);
      const machine = options.machine === undefined ? undefined : await session.hub(options.machine);
      const sensorIds: string[] = [];
      for (const wanted of sensor) sensorIds.push((await session.sensor(wanted)).id);
      const [names, readings] = await Promise.all([
        allNames(session),
        session.latest({ customerId, machineId: machine?.id, sensorIds }),
      ]);
      const now = terminal.clock.now();
      const timeOf = (takenAtMs: number) => ago(takenAtMs, now);
      return answer(readings, names, timeOf, 'There is no reading yet. Is a hub online? See: occ machines list');
    });
  });
}

function addRange(group: Command, terminal: Terminal): void {
  const readMoment = flagReader((text) => moment(text, terminal.clock.now()));
  const readBeginning = flagReader((text) => beginning(text, terminal.clock.now()));
  const range = operatorFlags(
    group
      .command('range')
      .description(
        'Readings between two moments, oldest first; with --json, what has "missing" in it is a span of time in which some ' +
          'are known to be missing',
      ),
    terminal,
  )
    .option('--machine <machine>', 'of this hub')
    .option('--sensor <sensor>', 'of this sensor (id, name, or hub/name)')
    .option('--from <time>', 'ISO 8601, or relative like -1h (default -1h)', readBeginning)
    .option('--until <time>', 'before this moment (default: no end)', readMoment)
    .option(
      '--every <duration>',
      SPANS,
      flagReader((text) => someTime(text, '')),
    )
    .option(
      '--limit <n>',
      `at most the newest n (default ${LIMIT})`,
      flagReader((text) => wholeNumber(1, MAX_LIMIT)(text, '')),
    );
  type Options = {
    machine?: string;
    sensor?: string;
    from?: Beginning;
    until?: EpochMs;
    every?: Duration;
    limit?: number;
  };
  range.action((options: Options) => {
    const { from: begin = beginning('-1h', terminal.clock.now()), until, every, limit = LIMIT } = options;
    const from = every === undefined ? begin.at : spansFrom(begin, every);
    if ((options.machine === undefined) === (options.sensor === undefined)) {
      throw usage('it is not clear whose readings are meant', 'Say either --machine or --sensor.');
    }
    if (every !== undefined && options.limit !== undefined) throw usage('--limit is for readings, --every for spans');
    if (until !== undefined && until <= from) throw usage('--until is not after --from');
    return operate(range, terminal, async (session) => {
      const { machineId, sensor } = await subjectOf(options, session);
      const names = await allNames(session);
      if (every !== undefined) {
        const end = until ?? terminal.clock.now();
        return bucketsAnswer({ machineId, sensor, fromMs: from, untilMs: end, bucketMs: every }, names, session);
      }
      const newest = new Newest(limit);
      const request = { machineId, sensor, fromMs: from, untilMs: until };
      const spans: MissingSpan[] = [];
      for await (const { readings, missing } of session.client.readings.queryReadings(request)) {
        newest.add(readings);
        spans.push(...missing);
      }
      const readings = newest.sorted();
      const found = answer(readings, names, (at) => iso(at) ?? '', 'There is no reading in this range.');
      const notes = [
        newest.dropped === 0 ? found.note : `${newest.dropped} older readings are not shown; see --limit.`,
        missingNote(spans),
      ];
      const json = [
        ...readings.map((reading) => plainReading(reading, names)),
        ...spans.map((span) => plainMissing(span, names)),
      ];
      return { ...found, json, ...noteOf(notes) };
    });
  });
}

async function subjectOf(
  options: { readonly machine?: string; readonly sensor?: string },
  session: Session,
): Promise<{ machineId: string; sensor: number }> {
  if (options.sensor !== undefined) {
    const { machineId, number } = await session.sensor(options.sensor);
    return { machineId, sensor: number };
  }
  const { id } = await session.hub(options.machine ?? '', { retired: true });
  return { machineId: id, sensor: 0 };
}

async function allNames(session: Session): Promise<Names> {
  const [machines, sensors] = await Promise.all([session.machines({ includeRetired: true }), session.sensors()]);
  return namesOf({ machines, sensors });
}

function answer(
  readings: readonly Reading[],
  names: Names,
  timeOf: (takenAtMs: number) => string,
  emptyNote: string,
): Answer {
  return {
    json: readings.map((reading) => plainReading(reading, names)),
    text: (paint) =>
      readings.length === 0
        ? ''
        : table(
            ['HUB', 'SENSOR', 'STATE', 'TAKEN', 'VALUES', 'MESSAGE'],
            readings.map((reading) => readingCells(reading, names, timeOf(reading.takenAtMs))),
            paint,
          ),
    ...(readings.length === 0 ? { note: emptyNote } : {}),
  };
}
