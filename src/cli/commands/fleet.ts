// `occ fleet`: which versions of this program run where, for whoever rolls out the next one.
import type { Command } from 'commander';
import type { Machine } from '../../client/index.js';
import { type Names, namesOf } from '../names.js';
import { operate, operatorFlags } from '../operator.js';
import type { Paint, Tone } from '../output/colour.js';
import { table } from '../output/table.js';
import { ago, iso } from '../output/times.js';
import { roleWord } from '../output/words.js';
import type { Terminal } from '../terminal.js';
import { behind, byVersion, type Distance } from '../versions.js';

/** Machines of one role that run the same. */
interface Group {
  readonly software: string;
  readonly role: string;
  readonly machines: readonly Machine[];
  readonly distance: Distance;
}

const MOST_CUSTOMERS = 3;

export function addFleet(program: Command, terminal: Terminal): void {
  const command = operatorFlags(program.command('fleet'), terminal)
    .description('Which versions run where, and how far they are behind the cloud; oldest first')
    .option('--customer <customer>', 'only machines of this customer')
    .option('--behind', 'only what is behind, or of no known version');
  command.action(({ customer: wanted, behind: late = false }: { customer?: string; behind?: boolean }) =>
    operate(command, terminal, async (session) => {
      const [customers, customerId] = await Promise.all([session.customers(), session.customerId(wanted)]);
      const machines = await session.machines(customerId === undefined ? {} : { customerId });
      const { software } = await session.client.operations.getCloud({});
      const groups = groupsOf(machines, software).filter(
        ({ distance }) => !late || (distance !== 'same' && distance !== 'ahead'),
      );
      const names = namesOf({ customers });
      return {
        json: { cloud: software, groups: groups.map((group) => plainGroup(group, names)) },
        text: (paint) =>
          `Cloud: ${software}\n${groups.length === 0 ? '' : `\n${show(groups, names, terminal, paint)}`}`,
        ...(groups.length === 0 ? { note: late ? 'Nothing is behind.' : 'There is no machine yet.' } : {}),
      };
    }),
  );
}

function groupsOf(machines: readonly Machine[], cloud: string): Group[] {
  const groups = new Map<string, Machine[]>();
  for (const machine of machines) {
    const key = JSON.stringify([machine.software, machine.role]);
    groups.set(key, [...(groups.get(key) ?? []), machine]);
  }
  return [...groups.values()]
    .map((members) => {
      const [{ software, role }] = members as [Machine];
      return { software, role: roleWord(role), machines: members, distance: behind(software, cloud) };
    })
    .sort((a, b) => byVersion(a.software, b.software) || a.role.localeCompare(b.role));
}

/** Of machines that have been seen; 0 when none has. */
const oldestSeen = ({ machines }: Group): number => {
  const seen = machines.map(({ lastSeenMs }) => lastSeenMs).filter((time) => time > 0);
  return seen.length === 0 ? 0 : seen.reduce((oldest, time) => Math.min(oldest, time));
};

const customersOf = ({ machines }: Group, names: Names): string[] =>
  [...new Set(machines.map(({ customerId }) => names.customer(customerId)))].sort((a, b) => a.localeCompare(b));

const plainGroup = (group: Group, names: Names) => ({
  software: group.software || undefined,
  role: group.role,
  count: group.machines.length,
  behind: group.distance,
  oldestSeenAt: iso(oldestSeen(group)),
  customers: customersOf(group, names),
});

const WORDS: { readonly [D in Distance]: { readonly text: string; readonly tone: Tone | undefined } } = {
  same: { text: 'no', tone: 'good' },
  patch: { text: 'a patch', tone: 'warn' },
  minor: { text: 'a minor version', tone: 'warn' },
  major: { text: 'a major version', tone: 'bad' },
  ahead: { text: 'newer', tone: undefined },
  unknown: { text: 'unknown', tone: 'quiet' },
};

function show(groups: readonly Group[], names: Names, { clock }: Terminal, paint: Paint): string {
  const rows = groups.map((group) => {
    const customers = customersOf(group, names);
    const more = customers.length - MOST_CUSTOMERS;
    return [
      group.software || 'unknown',
      group.role,
      String(group.machines.length),
      WORDS[group.distance],
      ago(oldestSeen(group), clock.now()),
      `${customers.slice(0, MOST_CUSTOMERS).join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
    ];
  });
  return table(['VERSION', 'ROLE', 'MACHINES', 'BEHIND', 'SEEN LONGEST AGO', 'CUSTOMERS'], rows, paint);
}
