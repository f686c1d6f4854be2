// Things that have no name are named by their id, or by a beginning or end of it that is no other's.
import { CliFault, usage } from './fault.js';
import { oneLine } from './output/text.js';

const SHORTEST = 4;
const MAX_SHOWN = 8;

/** Faults: cli.usage (too short), cli.not-found, cli.ambiguous. */
export function pickById<T extends { readonly id: string }>(what: string, wanted: string, things: Iterable<T>): T {
  const part = wanted.toLowerCase();
  if (part.length < SHORTEST) throw usage(`"${oneLine(wanted)}" is too short for an id`, listThem(what));
  const found = [...things].filter(({ id }) => id.startsWith(part) || id.endsWith(part));
  const [first, ...more] = found;
  if (first === undefined)
    throw new CliFault('cli.not-found', `there is no ${what} with the id "${oneLine(wanted)}"`, {
      advice: listThem(what),
    });
  if (more.length === 0) return first;
  const shown = found.slice(0, MAX_SHOWN).map(({ id }) => id);
  const list = found.length > MAX_SHOWN ? `${shown.join(', ')}, …` : shown.join(', ');
  throw new CliFault('cli.ambiguous', `there is more than one ${what} "${oneLine(wanted)}": ${list}`, {
    advice: 'The ends of ids differ more than their beginnings do.',
  });
}

const listThem = (what: string): string => `Ids of ${what}s are in the last column of the list.`;
