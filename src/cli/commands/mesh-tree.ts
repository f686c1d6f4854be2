// The picture of the mesh, drawn.
import { type LogLedger, type Machine, Path, SensorState, State } from '../../client/index.js';
import type { EpochMs } from '../../kernel/duration.js';
import type { Paint } from '../output/colour.js';
import { valuesText } from '../output/reading.js';
import { oneLine } from '../output/text.js';
import { ago, span } from '../output/times.js';
import type { Branch } from '../output/tree.js';
import { conditionOf, gapReasonWord, machineTone, many, roleWord, stateTone, stateWord } from '../output/words.js';
import type { ConnectorView, CustomerView, HubView, SensorView } from './mesh-view.js';

export interface DrawOptions {
  readonly now: EpochMs;
  readonly paint: Paint;
  /** One line for the sensors of a hub that are all OK. */
  readonly compact: boolean;
}

const leaf = (text: string): Branch => ({ text, children: [] });

export function drawMesh(customers: readonly CustomerView[], options: DrawOptions): Branch[] {
  return customers.map((view) => drawCustomer(view, options));
}

function drawCustomer(view: CustomerView, options: DrawOptions): Branch {
  const { paint } = options;
  const { customer, connectors, direct, apart, openAlarms } = view;
  const groups: Branch[] = connectors.map((connector) => drawConnector(connector, options));
  for (const [title, hubs] of [
    ['straight to the cloud', direct],
    ['not connected', apart],
  ] as const) {
    if (hubs.length > 0) groups.push({ text: title, children: hubs.map((hub) => drawHub(hub, options)) });
  }
  const hubs = [...connectors.flatMap((connector) => connector.hubs), ...direct, ...apart];
  const empty = leaf(
    paint('quiet', `no machines yet: occ tokens create --customer "${oneLine(customer.name)}" --role connector`),
  );
  return {
    text: [
      paint('strong', oneLine(customer.name)),
      summary(hubs, paint),
      openAlarms === 0 ? '' : paint('bad', many(openAlarms, 'open alarm')),
    ]
      .filter((text) => text !== '')
      .join('  '),
    children: groups.length === 0 ? [empty] : groups,
  };
}

/** `2 hubs, 10 sensors: 9 OK, 1 WARNING`. */
function summary(hubs: readonly HubView[], paint: Paint): string {
  const sensors = hubs.flatMap((hub) => hub.sensors);
  const counts = [State.CRITICAL, State.WARNING, State.UNKNOWN, State.OK].flatMap((state) => {
    const n = sensors.filter(({ latest }) => latest?.state === state).length;
    return n === 0 ? [] : [paint(stateTone(state), `${n} ${stateWord(state)}`)];
  });
  const head = `${many(hubs.length, 'hub')}, ${many(sensors.length, 'sensor')}`;
  return counts.length === 0 ? head : `${head}: ${counts.join(', ')}`;
}

function drawConnector({ connector, hubs }: ConnectorView, options: DrawOptions): Branch {
  return {
    text: machineText(connector, options),
    children: hubs.map((hub) => drawHub(hub, options)),
  };
}

function drawHub(view: HubView, options: DrawOptions): Branch {
  const { hub, sensors, logs } = view;
  const { paint, now, compact } = options;
  const details = [
    hub.path === Path.DIRECT ? 'direct' : '',
    hub.queuedReadings > 0 ? paint('warn', waiting(hub)) : '',
    hub.configError === '' ? '' : paint('bad', `configuration: ${oneLine(hub.configError)}`),
  ];
  const well = sensors.every(
    ({ latest, sensor }) =>
      latest?.state === State.OK && sensor.configError === '' && !sensor.flapping && sensor.state !== SensorState.STALE,
  );
  const drawn =
    compact && well && sensors.length > 0
      ? [leaf(paint('good', `${many(sensors.length, 'sensor')} OK`))]
      : sensors.map((sensor) => leaf(sensorText(sensor, hub, options)));
  return {
    text: [machineText(hub, options), ...details].filter((text) => text !== '').join('  '),
    children: [
      ...drawn,
      ...gapLines(logs, now).map((text) => leaf(paint('bad', text))),
      ...(compact ? [] : expiredLines(logs).map((text) => leaf(paint('quiet', text)))),
    ],
  };
}

function machineText(machine: Machine, { paint, now }: DrawOptions): string {
  const condition = paint(machineTone(machine), conditionOf(machine));
  const seen = machine.lastSeenMs === 0 ? '' : paint('quiet', `seen ${ago(machine.lastSeenMs, now)}`);
  return `${roleWord(machine.role)} ${paint('strong', oneLine(machine.name))}  ${condition}  ${seen}`.trimEnd();
}

function sensorText({ sensor, latest }: SensorView, hub: Machine, { paint, now }: DrawOptions): string {
  const name = oneLine(sensor.name).padEnd(16);
  if (sensor.configError !== '') return `${name}  ${paint('bad', oneLine(sensor.configError))}`;
  if (sensor.paused) return `${name}  ${paint('quiet', 'paused')}`;
  if (!latest) return `${name}  ${paint('quiet', 'no reading yet')}`;
  // By the cloud's clock: a hub's own may be years off.
  const taken = latest.takenAtMs - hub.clockOffsetMs;
  const stale = sensor.state === SensorState.STALE;
  const state = stale
    ? paint('odd', 'STALE'.padEnd(8))
    : paint(stateTone(latest.state), stateWord(latest.state).padEnd(8));
  const marks = [
    sensor.flapping && paint('odd', '(flapping)'),
    sensor.attempt > 0 && paint('quiet', `(attempt ${sensor.attempt} of ${sensor.attempts})`),
  ].filter(Boolean);
  const what = [oneLine(latest.message || valuesText(latest.values), 80), ...marks].join('  ');
  return `${name}  ${state}  ${paint('quiet', ago(Math.min(taken, now), now).padEnd(10))}  ${what}`.trimEnd();
}

/** A line, or none. */
function expiredLines(logs: readonly LogLedger[]): string[] {
  const flushes = logs.flatMap(({ expired }) => expired).reduce((sum, { count }) => sum + count, 0);
  return flushes === 0 ? [] : [`expired: ${manyFlushes(flushes)}, known in sums of five minutes`];
}

const manyFlushes = (n: number): string => many(n, 'flush').replace(/flushs$/, 'flushes');

/** One line per reason. */
function gapLines(logs: readonly LogLedger[], now: EpochMs): string[] {
  const byReason = new Map<number, { flushes: number; readings: number; noticedMs: number }>();
  for (const gap of logs.flatMap(({ lost }) => lost)) {
    const sum = byReason.get(gap.reason) ?? { flushes: 0, readings: 0, noticedMs: 0 };
    sum.flushes += gap.range?.count ?? 0;
    sum.readings += gap.readingCount;
    sum.noticedMs = Math.max(sum.noticedMs, gap.noticedAtMs);
    byReason.set(gap.reason, sum);
  }
  return [...byReason].map(([reason, { flushes, readings, noticedMs }]) => {
    const what = readings > 0 ? many(readings, 'reading') : manyFlushes(flushes);
    return `lost: ${what} (${gapReasonWord(reason)}), noticed ${ago(noticedMs, now)}`;
  });
}

function waiting({ queuedReadings, queuedAgeMs }: Machine): string {
  return `${queuedReadings} ${queuedReadings === 1 ? 'reading waits' : 'readings wait'}, for ${span(queuedAgeMs)}`;
}
