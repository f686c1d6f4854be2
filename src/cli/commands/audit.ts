// `occ audit`: who did what.
import type { Command } from 'commander';
import { type Audit, type Event, every } from '../../client/index.js';
import { flagReader } from '../config/settings.js';
import { namesOf } from '../names.js';
import { operate, operatorFlags, type Session } from '../operator.js';
import { plainEvent } from '../output/plain-events.js';
import { table } from '../output/table.js';
import { iso } from '../output/times.js';
import { callerWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';
import { wholeNumber } from '../values.js';

const USUAL = 100;

export function addAudit(program: Command, terminal: Terminal): void {
  const audit = operatorFlags(program.command('audit'), terminal)
    .description('Who did what, newest first')
    .option('--customer <customer>', 'only what concerns this customer')
    .option(
      '--limit <n>',
      `at most so many (default ${USUAL})`,
      flagReader((text) => wholeNumber(1, 100_000)(text, '')),
    );
  audit.action(({ customer, limit = USUAL }: { customer?: string; limit?: number }) =>
    operate(audit, terminal, async (session) => {
      const request = { customerId: await session.customerId(customer), auditOnly: true };
      const events: Event[] = [];
      for await (const event of every(session.client.events.listEvents, 'events', request)) {
        if (events.push(event) >= limit) break;
      }
      const known = session.json ? new Map<string, string>() : await namesById(session);
      return {
        json: events.map((event) => plainEvent(event, namesOf({}))),
        text: (paint) =>
          events.length === 0
            ? ''
            : table(
                ['AT', 'BY', 'AS', 'WHAT', 'IDS', 'STATUS', 'FROM'],
                events.flatMap((event) => rowOf(event, known)),
                paint,
              ),
        ...(events.length === 0 ? { note: 'Nothing is on record.' } : {}),
      };
    }),
  );
}

/** For people. Who wants JSON may be a service that has no right to read the inventory. */
async function namesById(session: Session): Promise<ReadonlyMap<string, string>> {
  const all = await Promise.all([session.customers(), session.machines({ includeRetired: true }), session.sensors()]);
  return new Map(all.flat().map(({ id, name }) => [id, name]));
}

function rowOf({ atMs, what }: Event, known: ReadonlyMap<string, string>) {
  return what?.$case === 'audit' ? [row(atMs, what.value, known)] : [];
}

/** ` (pc)`, ` (pc/CPU)`; of a sensor that has been removed ` (pc/7)`. */
function named(id: string, known: ReadonlyMap<string, string>): string {
  const [owner = '', number] = id.split('/');
  const machine = known.get(owner);
  if (machine === undefined) return '';
  return number === undefined ? ` (${machine})` : ` (${machine}/${known.get(id) ?? number})`;
}

const row = (atMs: number, { by, caller, method, ids, status, peer }: Audit, known: ReadonlyMap<string, string>) => [
  iso(atMs) ?? '',
  by,
  callerWord(caller),
  method.slice(method.lastIndexOf('/') + 1),
  ids.map(({ field, id }) => `${field}=${id}${named(id, known)}`).join(' '),
  { text: status, tone: status === 'OK' ? 'good' : 'bad' } as const,
  peer,
];
