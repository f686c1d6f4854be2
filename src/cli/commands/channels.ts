// `occ channels …`: who is told of alarms.
import type { Command } from 'commander';
import { type Channel, type CreateChannelRequest, every, type State } from '../../client/index.js';
import type { Duration } from '../../kernel/duration.js';
import { choice, SEVERITIES } from '../choices.js';
import { flagReader } from '../config/settings.js';
import { CliFault, usage } from '../fault.js';
import { type Names, namesOf, pick } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import type { Paint } from '../output/colour.js';
import { plainChannel } from '../output/plain-events.js';
import { table } from '../output/table.js';
import { span } from '../output/times.js';
import { stateWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';
import { writeNewSecret } from '../token-file.js';
import { duration, path } from '../values.js';

interface ChannelFlags {
  readonly customer?: string;
  readonly allCustomers?: boolean;
  readonly minSeverity?: State;
  readonly defer?: Duration;
  readonly out?: string;
}

export function addChannels(program: Command, terminal: Terminal): void {
  const group = program.command('channels').description('Who is told of alarms, and how');
  addList(group, terminal);

  const webhook = channelFlags(operatorFlags(group.command('add-webhook <name> <url>'), terminal))
    .description('Tell by a signed HTTP POST; the key is printed, or written to a file, this once only')
    .option(
      '--out <file>',
      'write the key to a new file of mode 0600',
      flagReader((text) => path(text, terminal.cwd)),
    );
  webhook.action((name: string, url: string, flags: ChannelFlags) =>
    add(webhook, terminal, name, { $case: 'webhook', value: { url } }, flags),
  );

  const email = channelFlags(operatorFlags(group.command('add-email <name> <address...>'), terminal));
  email.description("Tell by e-mail, through the cloud's mail server");
  email.action((name: string, to: string[], flags: ChannelFlags) =>
    add(email, terminal, name, { $case: 'email', value: { to } }, flags),
  );

  const remove = operatorFlags(group.command('remove <channel>'), terminal);
  remove.description('Remove a channel (name or id), and what waits for it');
  remove.action((wanted: string) =>
    operate(remove, terminal, async (session) => {
      const { channel, names } = await find(session, wanted);
      await session.client.notifications.deleteChannel({ id: channel.id });
      return { json: plainChannel(channel, names), text: () => '', note: `Removed channel ${channel.name}.` };
    }),
  );

  const test = operatorFlags(group.command('test <channel>'), terminal);
  test.description('Send a trial message now, and say what came of it');
  test.action((wanted: string) =>
    operate(test, terminal, async (session) => {
      const { channel } = await find(session, wanted);
      const { error } = await session.client.notifications.testChannel({ id: channel.id }, { within: TRIAL_WITHIN });
      if (error !== '') throw new CliFault('cli.failed', `${channel.name}: ${error}`);
      return { json: { id: channel.id, accepted: true }, text: () => '', note: `${channel.name} has accepted it.` };
    }),
  );
}

/** A mail server has a minute. */
const TRIAL_WITHIN = 75_000;

function channelFlags(command: Command): Command {
  return command
    .option('--customer <customer>', 'whose alarms (may be left out when there is only one customer)')
    .option('--all-customers', 'alarms of all customers; for operators only')
    .option(
      '--min-severity <severity>',
      'warning (default), unknown or critical: this, or worse',
      flagReader(choice(SEVERITIES)),
    )
    .option(
      '--defer <duration>',
      'how long an alarm must have been open before it is told (default 30s)',
      flagReader((text) => duration(text, '')),
    );
}

function add(
  command: Command,
  terminal: Terminal,
  name: string,
  way: NonNullable<CreateChannelRequest['way']>,
  flags: ChannelFlags,
): Promise<void> {
  const { allCustomers = false, minSeverity, defer: deferMs, out } = flags;
  if (allCustomers && flags.customer !== undefined) throw usage('--customer and --all-customers exclude each other');
  return operate(command, terminal, async (session) => {
    const customer = allCustomers ? undefined : await session.customer(flags.customer);
    const make = async () => {
      const request = { customerId: customer?.id, name, way, minSeverity, deferMs };
      const { channel, key } = await session.client.notifications.createChannel(request);
      return { channel, text: key };
    };
    const { channel, text: key } = out === undefined ? await make() : await writeNewSecret(out, make);
    const names = namesOf(customer ? { customers: [customer] } : {});
    const secret = key === '' ? {} : out === undefined ? { key } : { keyFile: out };
    const note = out === undefined ? 'The key is a secret, and not shown again.' : `The key is in ${out}.`;
    return {
      json: { ...(channel && plainChannel(channel, names)), ...secret },
      text: (paint) =>
        (channel ? show([channel], names, paint) : '') + (key !== '' && out === undefined ? `\nkey ${key}\n` : ''),
      ...(key === '' ? {} : { note }),
    };
  });
}

function addList(group: Command, terminal: Terminal): void {
  const list = operatorFlags(group.command('list').description('All channels, without their keys'), terminal).option(
    '--customer <customer>',
    'only of this customer',
  );
  list.action(({ customer }: { customer?: string }) =>
    operate(list, terminal, async (session) => {
      const channels = await allOf(session, await session.customerId(customer));
      const names = namesOf({ customers: await session.customers() });
      return {
        json: channels.map((channel) => plainChannel(channel, names)),
        text: (paint) => (channels.length === 0 ? '' : show(channels, names, paint)),
        ...(channels.length === 0 ? { note: 'Nobody is told of alarms. Add somebody: occ channels add-webhook' } : {}),
      };
    }),
  );
}

async function allOf({ client }: Session, customerId: string | undefined): Promise<Channel[]> {
  const all: Channel[] = [];
  for await (const channel of every(client.notifications.listChannels, 'channels', { customerId })) all.push(channel);
  return all;
}

async function find(session: Session, wanted: string): Promise<{ channel: Channel; names: Names }> {
  const [channels, customers] = await Promise.all([allOf(session, undefined), session.customers()]);
  const named = channels.map((channel) => ({ ...channel, names: [channel.name] }));
  const { names: _, ...channel } = pick('channel', wanted, named);
  return { channel, names: namesOf({ customers }) };
}

function show(channels: readonly Channel[], names: Names, paint: Paint): string {
  const rows = channels.map((channel) => [
    { text: channel.name, tone: 'strong' } as const,
    channel.customerId === '' ? '(all)' : names.customer(channel.customerId),
    channel.way?.$case === 'webhook' ? channel.way.value.url : (channel.way?.value.to.join(', ') ?? ''),
    `${stateWord(channel.minSeverity)} after ${span(channel.deferMs)}`,
    channel.waiting === 0 ? '0' : ({ text: String(channel.waiting), tone: 'warn' } as const),
    { text: channel.lastError, tone: 'bad' } as const,
    channel.id,
  ]);
  return table(['NAME', 'CUSTOMER', 'TO', 'FROM', 'WAITING', 'ERROR', 'ID'], rows, paint);
}
