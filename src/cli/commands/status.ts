// `occ status`: the whole mesh on one screen.
import type { Command } from 'commander';
import { type Names, namesOf } from '../names.js';
import { operate, operatorFlags } from '../operator.js';
import type { Paint } from '../output/colour.js';
import { plainCustomer, plainExpired, plainGaps, plainMachine, plainReading, plainSensor } from '../output/plain.js';
import { countLines, tree } from '../output/tree.js';
import type { Terminal } from '../terminal.js';
import { drawMesh } from './mesh-tree.js';
import { type CustomerView, type HubView, viewMesh } from './mesh-view.js';

/** Where the size of the screen is unknown nothing is left out. */
const ENDLESS = Number.POSITIVE_INFINITY;

export function addStatus(program: Command, terminal: Terminal): void {
  const status = operatorFlags(program.command('status'), terminal)
    .description('The whole mesh: customers, connectors, hubs, sensors, and what is known to be lost')
    .option('--customer <customer>', 'only this customer')
    .option('--all', 'every sensor, although it does not fit on the screen');
  status.action(({ customer: wanted, all = false }: { customer?: string; all?: boolean }) =>
    operate(status, terminal, async (session) => {
      const customers = await viewMesh(session, await session.customerId(wanted));
      return {
        json: plainMesh(customers),
        text: (paint) => draw(customers, all, terminal, paint),
        ...(customers.length === 0 ? { note: 'There is no customer yet. Make one: occ customers create NAME' } : {}),
      };
    }),
  );
}

function draw(customers: readonly CustomerView[], all: boolean, terminal: Terminal, paint: Paint): string {
  const options = { now: terminal.clock.now(), paint };
  const whole = drawMesh(customers, { ...options, compact: false });
  const fits = all || countLines(whole) < (terminal.stdout.rows ?? ENDLESS);
  return tree(fits ? whole : drawMesh(customers, { ...options, compact: true }), paint);
}

function plainMesh(customers: readonly CustomerView[]) {
  const names = namesOf({
    customers: customers.map(({ customer }) => customer),
    machines: customers.flatMap(({ connectors }) => connectors.map(({ connector }) => connector)),
    sensors: customers.flatMap(hubsOf).flatMap(({ sensors }) => sensors.map(({ sensor }) => sensor)),
  });
  return customers.map(({ customer, connectors, direct, apart, openAlarms }) => ({
    ...plainCustomer(customer),
    openAlarms,
    connectors: connectors.map(({ connector, hubs }) => ({
      ...plainMachine(connector, names),
      hubs: hubs.map((hub) => plainHub(hub, names)),
    })),
    directHubs: direct.map((hub) => plainHub(hub, names)),
    disconnectedHubs: apart.map((hub) => plainHub(hub, names)),
  }));
}

const hubsOf = ({ connectors, direct, apart }: CustomerView): HubView[] => [
  ...connectors.flatMap(({ hubs }) => hubs),
  ...direct,
  ...apart,
];

function plainHub({ hub, sensors, logs }: HubView, names: Names) {
  return {
    ...plainMachine(hub, names),
    sensors: sensors.map(({ sensor, latest }) => ({
      ...plainSensor(sensor, names),
      latest: latest && plainReading(latest, names),
    })),
    gaps: plainGaps(logs),
    expired: plainExpired(logs),
  };
}
