// `occ secrets …`: passwords and tokens of sensors. They are sealed here, to the hub; nothing can show one again.
import type { Command } from 'commander';
import { every, type Secret, SecretState, type Sensor, type TargetPart } from '../../client/index.js';
import { MAX_SECRET } from '../../identity/secret-sealing.js';
import { defined } from '../../kernel/defined.js';
import { CliFault } from '../fault.js';
import { type Names, namesOf } from '../names.js';
import { type Answer, operate, operatorFlags, type Session } from '../operator.js';
import type { Paint, Tone } from '../output/colour.js';
import { plainSecret } from '../output/plain.js';
import { table } from '../output/table.js';
import { oneLine } from '../output/text.js';
import { ago } from '../output/times.js';
import { secretProblemWord, secretStateWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';

/** Characters of a value of a target that are shown: a certificate is one, too. */
const MAX_SHOWN = 60;

export function addSecrets(program: Command, terminal: Terminal): void {
  const group = program.command('secrets').description('Passwords and tokens of sensors, readable by their hub only');
  addSet(group, terminal);
  addList(group, terminal);
  addRemove(group, terminal);
}

/** Flags instead of arguments, so that no secret is ever given in place of a name. */
const fieldFlags = (command: Command, terminal: Terminal): Command =>
  operatorFlags(command, terminal)
    .requiredOption('--sensor <sensor>', 'whose (id, name, or hub/name)')
    .requiredOption('--field <field>', 'which: password, token, … ("occ sensors kinds" says what a kind has)');

interface FieldFlags {
  readonly sensor: string;
  readonly field: string;
}

function addSet(group: Command, terminal: Terminal): void {
  const set = fieldFlags(group.command('set'), terminal);
  set.description(
    'Enter a secret: typed, or from standard input. It is sealed to the hub before it leaves this program',
  );
  set.action(({ sensor: wanted, field }: FieldFlags) =>
    operate(set, terminal, async (session) => {
      const sensor = await session.sensor(wanted);
      const machines = await session.machines();
      const hub = namesOf({ machines }).machine(sensor.machineId);
      const secret = await session.client.setSecret({
        sensorId: sensor.id,
        field,
        plaintext: (target) => {
          const whom = shownTarget(target);
          terminal.stderr.write(`For ${oneLine(sensor.name)} on ${oneLine(hub)}. Who will learn it: ${whom}\n`);
          return enter(field, terminal);
        },
      });
      return await aboutOne(secret, sensor, session);
    }),
  );
}

async function enter(field: string, terminal: Terminal): Promise<Buffer> {
  const secret = await terminal.readSecret(`The ${oneLine(field)} (not shown): `, MAX_SECRET + 1);
  if (secret === undefined) throw new CliFault('cli.interrupted', 'nothing was entered');
  if (secret.length >= 1 && secret.length <= MAX_SECRET) return secret;
  const what = secret.length === 0 ? 'it is empty' : `it is longer than ${MAX_SECRET} bytes`;
  secret.fill(0);
  throw new CliFault('cli.refused', `nothing was entered: ${what}`);
}

function addList(group: Command, terminal: Terminal): void {
  const list = operatorFlags(group.command('list'), terminal)
    .description('Which secrets there are or could be, and how they are; never what they are')
    .option('--sensor <sensor>', 'only of this sensor')
    .option('--machine <machine>', 'only of this hub')
    .option('--customer <customer>', 'only of this customer');
  list.action((options: { sensor?: string; machine?: string; customer?: string }) =>
    operate(list, terminal, async (session) => {
      const customerId = await session.customerId(options.customer);
      const machineId = options.machine === undefined ? undefined : (await session.hub(options.machine)).id;
      const sensorId = options.sensor === undefined ? undefined : (await session.sensor(options.sensor)).id;
      const filter = defined({ customerId, machineId, sensorId });
      const secrets: Secret[] = [];
      for await (const secret of every(session.client.secrets.listSecrets, 'secrets', filter)) secrets.push(secret);
      const answer = await about(secrets, await session.sensors(defined({ customerId, machineId })), session);
      return secrets.length > 0 ? answer : { ...answer, note: 'There is no sensor that could have a secret.' };
    }),
  );
}

function addRemove(group: Command, terminal: Terminal): void {
  const remove = fieldFlags(group.command('remove'), terminal);
  remove.description('Take a secret away, from its hub too');
  remove.action(({ sensor: wanted, field }: FieldFlags) =>
    operate(remove, terminal, async (session) => {
      const sensor = await session.sensor(wanted);
      const secret = await session.client.secrets.deleteSecret({ sensorId: sensor.id, field });
      return await aboutOne(secret, sensor, session);
    }),
  );
}

async function aboutOne(secret: Secret, sensor: Sensor, session: Session): Promise<Answer> {
  return { ...(await about([secret], [sensor], session)), json: plainSecret(secret) };
}

async function about(secrets: readonly Secret[], sensors: readonly Sensor[], session: Session): Promise<Answer> {
  const names = namesOf({ machines: await session.machines(), sensors });
  return {
    json: secrets.map(plainSecret),
    text: (paint) => (secrets.length === 0 ? '' : show(secrets, names, session, paint)),
  };
}

function show(secrets: readonly Secret[], names: Names, { terminal }: Session, paint: Paint): string {
  const now = terminal.clock.now();
  const rows = secrets.map((secret) => {
    const [machineId = '', number] = secret.sensorId.split('/');
    return [
      names.machine(machineId),
      { text: names.sensor(machineId, Number(number)), tone: 'strong' } as const,
      secret.field,
      { text: condition(secret), tone: toneOf(secret) },
      secret.enteredAtMs === 0 ? '' : ago(secret.enteredAtMs, now),
      shownTarget(secret.target),
    ];
  });
  return table(['HUB', 'SENSOR', 'FIELD', 'STATE', 'ENTERED', 'FOR'], rows, paint);
}

/** Without what is not set: that is part of the target, and tells nobody anything. */
const shownTarget = (target: readonly TargetPart[]): string =>
  target
    .filter(({ value }) => value !== '')
    .map(shownPart)
    .join(' ');

const shownPart = ({ name, value }: TargetPart): string => `${oneLine(name)}=${oneLine(value, MAX_SHOWN)}`;

const AGAIN = new Set([SecretState.TARGET_CHANGED, SecretState.KEY_LOST, SecretState.REFUSED]);

/** What has to be done is said with it. */
function condition({ state, problem, required }: Secret): string {
  const why = state === SecretState.REFUSED ? `: ${secretProblemWord(problem)}` : '';
  if (AGAIN.has(state)) return `${secretStateWord(state)}${why}, enter it again`;
  return state === SecretState.NOT_ENTERED && required ? 'missing' : secretStateWord(state);
}

/** Without it the sensor cannot do its work. */
export const mustBeEntered = ({ state, required }: Secret): boolean =>
  AGAIN.has(state) || (state === SecretState.NOT_ENTERED && required);

function toneOf(secret: Secret): Tone {
  const { state } = secret;
  if (mustBeEntered(secret)) return 'bad';
  return state === SecretState.READY ? 'good' : 'quiet';
}
