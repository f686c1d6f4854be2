// Names instead of ids, both ways: what an operator types becomes one thing, and ids become names on the screen.
import type { Customer, Machine, Role, Sensor } from '../client/index.js';
import { CliFault } from './fault.js';
import { oneLine } from './output/text.js';
import { roleWord } from './output/words.js';

/** Something that can be named. */
export interface Named {
  readonly id: string;
  /** All that it is called, for example `pc1` and `acme/pc1`. */
  readonly names: readonly string[];
  /** Machines have one; it tells things of one name apart. */
  readonly role?: Role;
}

const MAX_SHOWN = 8;

/**
 * The one thing that `wanted` means: by id, by name, or by name in other letter case. Faults: cli.ambiguous and
 * cli.not-found, which list what there is.
 */
export function pick<T extends Named>(what: string, wanted: string, things: readonly T[]): T {
  const lower = wanted.toLowerCase();
  const tries: readonly ((thing: T) => boolean)[] = [
    (thing) => thing.id.toLowerCase() === lower,
    (thing) => thing.names.includes(wanted),
    (thing) => thing.names.some((name) => name.toLowerCase() === lower),
  ];
  for (const fits of tries) {
    const [first, ...more] = things.filter(fits);
    if (first !== undefined && more.length === 0) return first;
    if (first !== undefined) throw ambiguous(what, wanted, [first, ...more]);
  }
  throw notFound(what, wanted, things);
}

function ambiguous(what: string, wanted: string, things: readonly Named[]): CliFault {
  const roles = new Set(things.map(({ role }) => role));
  const longest = things.map(({ id, names, role }) => {
    const name = names.at(-1) ?? id;
    return roles.size > 1 && role !== undefined ? `${roleWord(role)} ${name}` : name;
  });
  const list = shown(things.map(({ id }, i) => `${longest[i]} (${id})`));
  const distinct = new Set(longest).size === things.length;
  return new CliFault('cli.ambiguous', `there is more than one ${what} "${oneLine(wanted)}": ${list}`, {
    advice: distinct ? `Give the id, or a longer name, such as "${longest[0]}".` : 'Give the id.',
  });
}

function notFound(what: string, wanted: string, things: readonly Named[]): CliFault {
  const advice =
    things.length === 0
      ? `There is no ${what} at all yet.`
      : `There is ${shown(nearestFirst(wanted, things).map(({ id, names }) => names.at(-1) ?? id))}.`;
  return new CliFault('cli.not-found', `there is no ${what} "${oneLine(wanted)}"`, { advice });
}

/** Those first that begin like what was wanted; otherwise as they were. */
function nearestFirst<T extends Named>(wanted: string, things: readonly T[]): readonly T[] {
  const likeness = ({ names }: T) => Math.max(0, ...names.map((name) => sameBeginning(name, wanted)));
  const ranked = things.map((thing) => ({ thing, rank: likeness(thing) }));
  return ranked.sort((a, b) => b.rank - a.rank).map(({ thing }) => thing);
}

/** How many letters of both are the same, from the first on. */
function sameBeginning(a: string, b: string): number {
  const [left, right] = [a.toLowerCase(), b.toLowerCase()];
  let same = 0;
  while (same < left.length && left[same] === right[same]) same += 1;
  return same;
}

function shown(texts: readonly string[]): string {
  const rest = texts.length - MAX_SHOWN;
  const list = texts
    .slice(0, MAX_SHOWN)
    .map((text) => oneLine(text))
    .join(', ');
  return rest > 0 ? `${list} and ${rest} more` : list;
}

/** Ids to names, for output; an id that nothing is known of stands for itself. */
export interface Names {
  readonly customer: (id: string) => string;
  readonly machine: (id: string) => string;
  readonly sensor: (machineId: string, number: number) => string;
}

export interface Known {
  readonly customers?: readonly Customer[];
  readonly machines?: readonly Machine[];
  readonly sensors?: readonly Sensor[];
}

export function namesOf({ customers = [], machines = [], sensors = [] }: Known): Names {
  const customerNames = new Map(customers.map(({ id, name }) => [id, name]));
  const machineNames = new Map(machines.map(({ id, name }) => [id, name]));
  const sensorNames = new Map(sensors.map(({ machineId, number, name }) => [`${machineId}/${number}`, name]));
  return {
    customer: (id) => customerNames.get(id) ?? id,
    machine: (id) => machineNames.get(id) ?? id,
    sensor: (machineId, number) => sensorNames.get(`${machineId}/${number}`) ?? `#${number}`,
  };
}

export const namedCustomer = (customer: Customer) => ({ ...customer, names: [customer.name] });

const ownersOf = ({ name, customerId }: Machine, names: Names) => [name, `${names.customer(customerId)}/${name}`];

/** A connector and the hub on it are one computer and begin with one name: `hub gw` and `connector gw` are two. */
export function namedMachine(machine: Machine, names: Names) {
  const own = ownersOf(machine, names);
  return { ...machine, names: [...own.map((name) => `${roleWord(machine.role)} ${name}`), ...own] };
}

/** A sensor by its name where that is unique, with its machine in front where it is not. */
export function namedSensor(sensor: Sensor, machine: Machine | undefined, names: Names) {
  const owners = machine === undefined ? [sensor.machineId] : ownersOf(machine, names);
  const own = [sensor.name, String(sensor.number)];
  return {
    ...sensor,
    names: [sensor.name, ...own.flatMap((name) => owners.map((owner) => `${owner}/${name}`)).reverse()],
  };
}
