// `occ customers …`.
import type { Command } from 'commander';
import type { Customer } from '../../client/index.js';
import type { Duration } from '../../kernel/duration.js';
import { flagReader } from '../config/settings.js';
import { usage } from '../fault.js';
import { type Answer, operate, operatorFlags } from '../operator.js';
import { plainCustomer } from '../output/plain.js';
import { table } from '../output/table.js';
import { span } from '../output/times.js';
import type { Terminal } from '../terminal.js';
import { duration, oneOf } from '../values.js';

interface UpdateOptions {
  readonly name?: string;
  readonly direct?: 'allow' | 'deny';
  readonly fallbackAfter?: Duration;
  readonly rawRetention?: Duration;
  readonly summaryRetention?: Duration;
}

export function addCustomers(program: Command, terminal: Terminal): void {
  const group = program.command('customers').description('Whose machines are looked after');

  const list = operatorFlags(group.command('list').description('All customers'), terminal);
  list.action(() =>
    operate(list, terminal, async (session) => {
      const customers = await session.customers();
      if (customers.length > 0) return answer(customers, customers.map(plainCustomer));
      return { json: [], text: () => '', note: 'There is no customer yet. Make one: occ customers create NAME' };
    }),
  );

  const create = operatorFlags(group.command('create <name>').description('Add a customer'), terminal);
  create.action((name: string) =>
    operate(create, terminal, async ({ client }) => {
      const customer = await client.customers.createCustomer({ name });
      const note = `Next: occ tokens create --customer "${name}" --role connector --out connector.token`;
      return { ...answer([customer], plainCustomer(customer)), note };
    }),
  );

  const update = operatorFlags(group.command('update <customer>').description("Change a customer's policy"), terminal)
    .option('--name <name>', 'new name')
    .option(
      '--direct <allow|deny>',
      'may hubs use the internet themselves?',
      flagReader((text) => oneOf('allow', 'deny')(text, '')),
    )
    .option(
      '--fallback-after <duration>',
      'how long every connector must be gone before they do',
      flagReader((text) => duration(text, '')),
    )
    .option(
      '--raw-retention <duration>',
      'how long readings are kept as they were measured, like 30d',
      flagReader((text) => duration(text, '')),
    )
    .option(
      '--summary-retention <duration>',
      'how long their sums of five minutes are kept, like 400d',
      flagReader((text) => duration(text, '')),
    );
  update.action((wanted: string, options: UpdateOptions) => {
    const { name, direct, fallbackAfter, rawRetention, summaryRetention } = options;
    if (
      Object.values({ name, direct, fallbackAfter, rawRetention, summaryRetention }).every((of) => of === undefined)
    ) {
      const advice = 'Give --name, --direct, --fallback-after, --raw-retention or --summary-retention.';
      throw usage('nothing was said that should change', advice);
    }
    return operate(update, terminal, async (session) => {
      const { id } = await session.customer(wanted);
      const changed = await session.client.customers.updateCustomer({
        id,
        name,
        directAllowed: direct === undefined ? undefined : direct === 'allow',
        fallbackAfterMs: fallbackAfter,
        rawRetentionMs: rawRetention,
        summaryRetentionMs: summaryRetention,
      });
      return answer([changed], plainCustomer(changed));
    });
  });
}

const answer = (customers: readonly Customer[], json: unknown): Answer => ({
  json,
  text: (paint) =>
    table(
      ['NAME', 'DIRECT', 'FALLBACK', 'READINGS', 'SUMMARIES', 'ID'],
      customers.map(({ name, directAllowed, fallbackAfterMs, rawRetentionMs, summaryRetentionMs, id }) => [
        { text: name, tone: 'strong' },
        directAllowed ? 'allowed' : 'no',
        span(fallbackAfterMs),
        span(rawRetentionMs),
        span(summaryRetentionMs),
        id,
      ]),
      paint,
    ),
});
