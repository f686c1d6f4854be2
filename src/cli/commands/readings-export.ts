// `occ readings export`: readings as CSV or JSON lines, as many as there are, without keeping them.
import { type Command, Option } from 'commander';
import { type Machine, type MissingSpan, type Reading, Role } from '../../client/index.js';
import { type Duration, type EpochMs, seconds } from '../../kernel/duration.js';
import { flagReader } from '../config/settings.js';
import { usage } from '../fault.js';
import { type Names, namesOf } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import { csvLine } from '../output/csv.js';
import { plainMissing, plainReading } from '../output/plain.js';
import { type Sink, withSink } from '../output/sink.js';
import { iso } from '../output/times.js';
import { many, stateWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';
import { type Beginning, beginning, moment, someTime, spansFrom } from '../values.js';
import { type BucketRow, bucketRows, plainBucket, SPANS } from './reading-buckets.js';

/** Sensors of one call. */
const AT_ONCE = 100;
const PROGRESS: Duration = seconds(2);

interface Options {
  readonly customer?: string;
  readonly machine?: readonly string[];
  readonly sensor?: readonly string[];
  readonly from?: Beginning;
  readonly until?: EpochMs;
  readonly every?: Duration;
  readonly format: 'csv' | 'jsonl';
  readonly out?: string;
}

/** What one call asks for. */
interface Subject {
  readonly machineId?: string;
  readonly sensorIds?: string[];
}

export function addExport(group: Command, terminal: Terminal): void {
  const readMoment = flagReader((text) => moment(text, terminal.clock.now()));
  const readBeginning = flagReader((text) => beginning(text, terminal.clock.now()));
  const several = (text: string, before: readonly string[] = []) => [...before, text];
  const command = operatorFlags(group.command('export'), terminal)
    .description(
      'Readings between two moments as CSV or JSON lines, hub by hub, in the order of the logs; in CSV one line for each ' +
        'metric, and an apostrophe in front of texts that a spreadsheet would take for formulas; a JSON line with "missing" ' +
        'in it is a span of time in which readings are known to be missing',
    )
    .option('--customer <customer>', 'only of this customer')
    .option('--machine <machine>', 'of this hub (repeatable; default: all hubs)', several)
    .option('--sensor <sensor>', 'of this sensor (id, name, or hub/name; repeatable)', several)
    .option('--from <time>', 'ISO 8601, or relative like -1h (default -24h)', readBeginning)
    .option('--until <time>', 'before this moment (default: now)', readMoment)
    .option(
      '--every <duration>',
      SPANS,
      flagReader((text) => someTime(text, '')),
    )
    .addOption(new Option('--format <format>', 'of what comes out').choices(['csv', 'jsonl']).default('csv'))
    .option('--out <file>', 'into this file, which is there when it is whole (default: standard output)');
  command.action((options: Options) => {
    const now = terminal.clock.now();
    const { every, from = beginning('-24h', now) } = options;
    const range = { fromMs: every === undefined ? from.at : spansFrom(from, every), untilMs: options.until ?? now };
    if (range.untilMs <= range.fromMs) throw usage('--until is not after --from');
    if (options.machine && options.sensor) throw usage('it is not clear what is meant', 'Say --machine or --sensor.');
    return operate(command, terminal, async (session) => {
      const { machines, names } = await known(session);
      const subjects = await subjectsOf(options, machines, session);
      const { count, missing } = await withSink(options.out, terminal, async (sink) => {
        const writer = new Exporter(options, names, session, sink);
        await writer.head();
        for (const [i, subject] of subjects.entries())
          await writer.copy(subject, range, `${i + 1} of ${subjects.length}`);
        return writer;
      });
      terminal.stderr.write(
        `${count} ${every === undefined ? 'readings' : 'spans'} of ${many(subjects.length, 'hub')}\n`,
      );
      if (missing > 0) {
        terminal.stderr.write(`Readings are known to be missing in ${missing} spans; see "occ readings range".\n`);
      }
      return undefined;
    });
  });
}

async function known(session: Session): Promise<{ machines: Machine[]; names: Names }> {
  const [customers, machines, sensors] = await Promise.all([
    session.customers(),
    session.machines({ includeRetired: true }),
    session.sensors(),
  ]);
  return { machines, names: namesOf({ customers, machines, sensors }) };
}

async function subjectsOf(options: Options, machines: readonly Machine[], session: Session): Promise<Subject[]> {
  if (options.sensor) {
    const ids: string[] = [];
    for (const wanted of options.sensor) ids.push((await session.sensor(wanted)).id);
    return Array.from({ length: Math.ceil(ids.length / AT_ONCE) }, (_, i) => {
      return { sensorIds: ids.slice(i * AT_ONCE, (i + 1) * AT_ONCE) };
    });
  }
  if (options.machine) {
    const subjects: Subject[] = [];
    for (const wanted of options.machine)
      subjects.push({ machineId: (await session.hub(wanted, { retired: true })).id });
    return subjects;
  }
  const customerId = await session.customerId(options.customer);
  return machines
    .filter((machine) => machine.role === Role.HUB && (customerId === undefined || machine.customerId === customerId))
    .map(({ id }) => ({ machineId: id }));
}

class Exporter {
  count = 0;
  /** Spans of time in which readings are known to be missing. */
  missing = 0;
  #toldAt: number;

  constructor(
    private readonly options: Options,
    private readonly names: Names,
    private readonly session: Session,
    private readonly sink: Sink,
  ) {
    this.#toldAt = session.terminal.clock.monotonic();
  }

  async head(): Promise<void> {
    const { format, every } = this.options;
    if (format === 'csv') await this.sink.write(csvLine(every === undefined ? READING_HEAD : BUCKET_HEAD));
  }

  async copy(
    subject: Subject,
    range: { readonly fromMs: number; readonly untilMs: number },
    place: string,
  ): Promise<void> {
    const { format, every } = this.options;
    const { names, session } = this;
    const request = { ...subject, ...range };
    if (every === undefined) {
      for await (const { readings, missing } of session.client.readings.queryReadings(request)) {
        await this.#miss(missing);
        const lines = readings.map((one) =>
          format === 'csv' ? readingLines(one, names) : jsonLine(plainReading(one, names)),
        );
        await this.#write(lines.join(''), readings.length, place);
      }
    } else {
      const onMissing = (spans: readonly MissingSpan[]) => this.#miss(spans);
      for await (const row of bucketRows({ ...request, bucketMs: every }, session, onMissing)) {
        await this.#write(format === 'csv' ? bucketLine(row, names) : jsonLine(plainBucket(row, names)), 1, place);
      }
    }
  }

  /** CSV has no place for them: there they are counted only. */
  async #miss(spans: readonly MissingSpan[]): Promise<void> {
    this.missing += spans.length;
    if (this.options.format !== 'jsonl' || spans.length === 0) return;
    await this.sink.write(spans.map((span) => jsonLine(plainMissing(span, this.names))).join(''));
  }

  async #write(text: string, count: number, place: string): Promise<void> {
    const { stderr, stdout, clock } = this.session.terminal;
    await this.sink.write(text);
    this.count += count;
    const now = clock.monotonic();
    // Not into the middle of what somebody reads.
    const watched = stderr.isTerminal && (this.options.out !== undefined || !stdout.isTerminal);
    if (!watched || now - this.#toldAt < PROGRESS) return;
    this.#toldAt = now;
    stderr.write(`${place}: ${this.count} so far\n`);
  }
}

const jsonLine = (item: object): string => `${JSON.stringify(item)}\n`;

const READING_HEAD = [
  'time',
  'machine',
  'sensor',
  'state',
  'metric',
  'value',
  'unit',
  'message',
  'machine_id',
  'sensor_id',
];

/** One for each metric; one without for a reading that has none. */
function readingLines(reading: Reading, names: Names): string {
  const { machineId, sensor, takenAtMs, state, message, values } = reading;
  const head = [iso(takenAtMs), names.machine(machineId), names.sensor(machineId, sensor), stateWord(state)];
  const tail = [message, machineId, `${machineId}/${sensor}`];
  if (values.length === 0) return csvLine([...head, undefined, undefined, undefined, ...tail]);
  return values.map(({ name, value, unit }) => csvLine([...head, name, value, unit, ...tail])).join('');
}

const BUCKET_HEAD = [
  ...['from', 'machine', 'sensor', 'worst', 'metric', 'unit', 'count', 'minimum', 'average', 'maximum', 'last'],
  ...['machine_id', 'sensor_id'],
];

function bucketLine(row: BucketRow, names: Names): string {
  const { machineId, sensor, at, state, name, unit, count, minimum, average, maximum, last } = row;
  return csvLine([
    ...[iso(at), names.machine(machineId), names.sensor(machineId, sensor), stateWord(state), name, unit],
    ...[count, minimum, average, maximum, last, machineId, `${machineId}/${sensor}`],
  ]);
}
