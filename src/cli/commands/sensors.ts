// `occ sensors …`: what is measured where.
import type { Command } from 'commander';
import { every, Outcome, type Sensor, type SensorState, type Threshold } from '../../client/index.js';
import { hours } from '../../kernel/duration.js';
import { CATALOGUE, describeKind } from '../../sensors/catalogue.js';
import { choice, SENSOR_STATES, wordsOf } from '../choices.js';
import { flagsReader } from '../config/settings.js';
import { CliFault, usage } from '../fault.js';
import { type Names, namesOf } from '../names.js';
import { type Answer, operate, operatorFlags, type Session } from '../operator.js';
import type { Paint } from '../output/colour.js';
import { plainSensor } from '../output/plain.js';
import { table } from '../output/table.js';
import { span } from '../output/times.js';
import { outcomeWord, stateTone, stateWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';
import { withLimits } from '../values.js';
import { mustBeEntered } from './secrets.js';
import { hasChange, type SensorFlags, sensorFlags, settingsWith } from './sensor-flags.js';
import { addKinds } from './sensor-kinds.js';

/** A run takes as long as the sensor's timeout, which nobody knows before it is asked. */
const RUN_WITHIN = hours(1);

export function addSensors(program: Command, terminal: Terminal): void {
  const group = program.command('sensors').description('What is measured, where and how often');
  addKinds(group, terminal);
  addList(group, terminal);
  addAdd(group, terminal);
  addChange(group, terminal);
  addRemove(group, terminal);
  addRun(group, terminal);
}

function addList(group: Command, terminal: Terminal): void {
  const list = operatorFlags(group.command('list').description('Sensors'), terminal)
    .option('--machine <machine>', 'only of this hub')
    .option('--customer <customer>', 'only of this customer')
    .option(
      '--state <state>',
      `only those that are in this state now (repeatable): ${wordsOf(SENSOR_STATES)}`,
      flagsReader(choice(SENSOR_STATES)),
    )
    .option('--kind <kind>', 'only of this kind; "occ sensors kinds" lists them');
  type Options = { machine?: string; customer?: string; state?: readonly SensorState[]; kind?: string };
  list.action(({ kind, state, ...options }: Options) =>
    operate(list, terminal, async (session) => {
      const customerId = await session.customerId(options.customer);
      const machine = options.machine === undefined ? undefined : await session.hub(options.machine);
      const [machines, sensors] = await Promise.all([
        session.machines(),
        session.sensors({ customerId, machineId: machine?.id, kind, states: state && [...state] }),
      ]);
      const names = namesOf({ machines });
      return {
        json: sensors.map((sensor) => plainSensor(sensor, names)),
        text: (paint) => (sensors.length === 0 ? '' : show(sensors, names, paint)),
        ...(sensors.length === 0 ? { note: nothingNote(kind, state !== undefined) } : {}),
      };
    }),
  );
}

/** A newer cloud may have kinds that this program does not know: they are no mistake, but may be one. */
function nothingNote(kind: string | undefined, isFiltered: boolean): string {
  if (kind !== undefined && !describeKind(kind)) {
    return `No sensor fits. Kinds that are known here: ${Object.keys(CATALOGUE).join(', ')}.`;
  }
  return isFiltered || kind !== undefined ? 'No sensor fits.' : 'There is no sensor. Add one: occ sensors add HUB KIND';
}

function addAdd(group: Command, terminal: Terminal): void {
  const add = sensorFlags(operatorFlags(group.command('add <hub> <kind>'), terminal))
    .description('Add a sensor; "occ sensors kinds" lists the kinds and their settings')
    .option('--name <name>', 'display name (default: the kind)');
  add.action((hub: string, kind: string, flags: SensorFlags & { name?: string }) =>
    operate(add, terminal, async (session) => {
      const machine = await session.hub(hub);
      const sensor = await session.client.sensors.createSensor({
        machineId: machine.id,
        kind,
        name: flags.name,
        settings: settingsWith({}, flags),
        intervalMs: flags.interval,
        timeoutMs: flags.timeout,
        attempts: flags.attempts,
        thresholds: newThresholds(kind, flags),
      });
      return { ...(await about(sensor, session)), ...(await secretsToEnter(sensor, session)) };
    }),
  );
}

/** None: the cloud takes those of the kind. Otherwise these, with what was said put in. */
function newThresholds(kind: string, { warn, crit }: SensorFlags): Threshold[] {
  if (warn === undefined && crit === undefined) return [];
  return withLimits(describeKind(kind)?.defaults.thresholds ?? [], warn ?? [], crit ?? []);
}

function addChange(group: Command, terminal: Terminal): void {
  const change = sensorFlags(operatorFlags(group.command('change <sensor>'), terminal))
    .description('Change a sensor (id, name, or hub/name); what is not mentioned stays')
    .option('--name <name>', 'new display name')
    .option('--unset <key>', 'take a setting away (repeatable)', (key: string, before: string[] = []) => [
      ...before,
      key,
    ])
    .option('--no-thresholds', 'take all thresholds away first')
    .option('--pause', 'do not run it for now')
    .option('--resume', 'run it again');
  type Flags = SensorFlags & {
    readonly name?: string;
    readonly unset?: readonly string[];
    readonly thresholds: boolean;
    readonly pause?: boolean;
    readonly resume?: boolean;
  };
  change.action((wanted: string, flags: Flags) => {
    const { name, unset, thresholds, pause = false, resume = false } = flags;
    if (pause && resume) throw usage('--pause and --resume exclude each other');
    if (!hasChange(flags) && name === undefined && unset === undefined && thresholds && !pause && !resume) {
      throw usage('nothing was said that should change', 'See --help for what can be.');
    }
    return operate(change, terminal, async (session) => {
      const sensor = await session.sensor(wanted);
      const limits = withLimits(thresholds ? sensor.thresholds : [], flags.warn ?? [], flags.crit ?? []);
      const newLimits = !thresholds || flags.warn !== undefined || flags.crit !== undefined;
      const newSettings = flags.set !== undefined || unset !== undefined;
      const changed = await session.client.sensors.updateSensor({
        id: sensor.id,
        name,
        settings: newSettings ? settingsWith(sensor.settings ?? {}, flags, unset) : undefined,
        intervalMs: flags.interval,
        timeoutMs: flags.timeout,
        attempts: flags.attempts,
        thresholds: newLimits ? { thresholds: limits } : undefined,
        paused: pause ? true : resume ? false : undefined,
      });
      return { ...(await about(changed, session)), ...(await secretsToEnter(changed, session)) };
    });
  });
}

function addRemove(group: Command, terminal: Terminal): void {
  const remove = operatorFlags(group.command('remove <sensor>'), terminal);
  remove.description('Remove a sensor; its history stays');
  remove.action((wanted: string) =>
    operate(remove, terminal, async (session) => {
      const sensor = await session.sensor(wanted);
      await session.client.sensors.deleteSensor({ id: sensor.id });
      const names = namesOf({ machines: await session.machines() });
      const where = names.machine(sensor.machineId);
      return { json: plainSensor(sensor, names), text: () => '', note: `Removed ${sensor.name} of ${where}.` };
    }),
  );
}

function addRun(group: Command, terminal: Terminal): void {
  const run = operatorFlags(group.command('run <sensor>'), terminal);
  run.description('Run a sensor now, besides its schedule, and wait for the result');
  run.action((wanted: string) =>
    operate(run, terminal, async (session) => {
      const { id, name } = await session.sensor(wanted);
      const result = await session.client.sensors.runSensor({ id }, { within: RUN_WITHIN });
      if (result.outcome !== Outcome.DONE) {
        throw new CliFault('cli.failed', `${name}: ${result.message || outcomeWord(result.outcome)}`, {
          advice:
            result.outcome === Outcome.UNKNOWN
              ? 'The connection was lost meanwhile: look at its latest reading.'
              : undefined,
        });
      }
      const state = stateWord(result.state);
      return {
        json: { id, outcome: outcomeWord(result.outcome), state, message: result.message },
        text: (paint) =>
          table(
            ['SENSOR', 'STATE', 'MESSAGE'],
            [[name, { text: state, tone: stateTone(result.state) }, result.message]],
            paint,
          ),
      };
    }),
  );
}

async function about(sensor: Sensor, session: Session): Promise<Answer> {
  const names = namesOf({ machines: await session.machines() });
  return { json: plainSensor(sensor, names), text: (paint) => show([sensor], names, paint) };
}

/** What has to follow before it can run. */
async function secretsToEnter({ id, kind }: Sensor, { client }: Session): Promise<Pick<Answer, 'note'>> {
  if (describeKind(kind)?.secrets === undefined) return {};
  const notes: string[] = [];
  for await (const secret of every(client.secrets.listSecrets, 'secrets', { sensorId: id })) {
    if (mustBeEntered(secret))
      notes.push(`Enter its ${secret.field}: occ secrets set --sensor ${id} --field ${secret.field}`);
  }
  return notes.length === 0 ? {} : { note: notes.join('\n') };
}

function show(sensors: readonly Sensor[], names: Names, paint: Paint): string {
  const rows = sensors.map((sensor) => [
    names.machine(sensor.machineId),
    { text: sensor.name, tone: 'strong' } as const,
    sensor.kind,
    sensor.paused ? 'paused' : span(sensor.intervalMs),
    sensor.thresholds
      .map(({ metric, warning, critical }) => `${metric} ${warning || '-'}/${critical || '-'}`)
      .join(', '),
    Object.entries(sensor.settings ?? {})
      .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
      .join(' '),
    sensor.configError === '' ? '' : ({ text: sensor.configError, tone: 'bad' } as const),
    sensor.id,
  ]);
  return table(['HUB', 'NAME', 'KIND', 'EVERY', 'WARN/CRIT', 'SETTINGS', 'ERROR', 'ID'], rows, paint);
}
