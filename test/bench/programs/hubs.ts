// A process with many real hubs in it, each with its own directory, log, key and session. They have no sensors: what
// they measure is handed to them here.
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { Hub } from '../../../src/hub/hub.js';
import type { HubOptions } from '../../../src/hub/options.js';
import { systemClock as clock, every, sleep, type Timer } from '../../../src/kernel/clock.js';
import { defined } from '../../../src/kernel/defined.js';
import { type EpochMs, milliseconds } from '../../../src/kernel/duration.js';
import { createLogger } from '../../../src/kernel/log.js';
import { systemRandom as random } from '../../../src/kernel/random.js';
import type { Reading } from '../../../src/telemetry/reading.js';
import { seededRandom } from '../../support/seeded-random.js';
import { serve } from '../program.js';
import { Walk } from '../readings.js';

/** Flushes that a hub may have on their way to the cloud: enough that it never waits for want of work. */
const OUTSTANDING = 8;
/** How often is looked whether there is room for more. */
const LOOK = milliseconds(5);

export interface StartHubs {
  readonly directories: readonly string[];
  /** None: they run for themselves. */
  readonly connector?: string;
  readonly batchReadings?: number;
}

export interface Walks {
  /** Of each hub. */
  readonly readings: number;
  readonly sensors: number;
  /** The same numbers for the same seed. */
  readonly seed: number;
}

export interface Feed {
  /** Of each hub. */
  readonly readings: number;
  /** Readings in a flush. */
  readonly flush: number;
}

export interface Live {
  readonly sensors: number;
  readonly everyMs: number;
}

const log = await createLogger({ role: 'hub', level: 'warn', pretty: false });
const hubs: Hub[] = [];
const walks = new Map<Hub, Walk>();
/** Readings that each hub has reported durable, by machine id. */
const durable: { [machineId: string]: number } = {};
const measuring: Timer[] = [];
let firstSession: EpochMs | undefined;
const appending = new Set<Promise<void>>();

async function append(hub: Hub, flush: readonly Reading[]): Promise<void> {
  const { readings } = await hub.append(flush);
  durable[hub.machineId] = (durable[hub.machineId] ?? 0) + readings.length;
}

let nextLook: Promise<void> | undefined;

/** Resolves as soon as a look shows that it is so. All that wait look at the same time. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    nextLook ??= sleep(clock, LOOK).finally(() => {
      nextLook = undefined;
    });
    await nextLook;
  }
}

async function noteSession(hub: Hub): Promise<void> {
  await until(() => hub.path === 'connector');
  firstSession ??= clock.now();
}

async function feedOne(hub: Hub, walk: Walk, { readings, flush }: Feed, bound: number): Promise<void> {
  for (let left = readings; left > 0; left -= flush) {
    await until(() => hub.queuedReadings < bound);
    await append(hub, walk.take(Math.min(flush, left)));
  }
}

/** What a hub's sensors measure now. */
const measured = (sensors: number): Reading[] =>
  Array.from({ length: sensors }, (_, i) => ({
    sensor: i + 1,
    takenAt: clock.now(),
    state: State.OK,
    message: '',
    values: [{ name: 'temperature', unit: 'Cel', value: Math.round(random.uniform() * 10_000) / 100 }],
  }));

const abilities = {
  /** Resolves when all of them run. */
  start: async ({ directories, connector, batchReadings }: StartHubs): Promise<void> => {
    const options: Omit<HubOptions, 'directory'> = {
      connectors: connector === undefined ? [] : [connector],
      directAllowed: false,
      multicast: false,
      ...defined({ batchReadings }),
    };
    const starts = directories.map(async (directory) => {
      const hub = await Hub.start({ ...options, directory }, { clock, random, log });
      if (connector !== undefined) void noteSession(hub);
      return hub;
    });
    hubs.push(...(await Promise.all(starts)));
  },

  /** Resolves when all of them have a session, with the moment at which the first one had. */
  connected: async (_: null): Promise<EpochMs> => {
    await until(() => hubs.every(({ path }) => path === 'connector'));
    return firstSession ?? clock.now();
  },

  /** Draws the numbers that feed() will need. */
  prepare: async ({ readings, sensors, seed }: Walks): Promise<void> => {
    const start = clock.now() - (readings / sensors) * 1_000;
    for (const [i, hub] of hubs.entries()) {
      walks.set(hub, new Walk(sensors, readings, start, seededRandom(seed + i)));
    }
  },

  /** Each hub takes readings, no faster than the cloud acknowledges them. Resolves when all are durable. */
  feed: async (feed: Feed): Promise<void> => {
    await Promise.all([...walks].map(([hub, walk]) => feedOne(hub, walk, feed, OUTSTANDING * feed.flush)));
  },

  /** The same without a cloud. */
  fill: async (feed: Feed): Promise<void> => {
    await Promise.all([...walks].map(([hub, walk]) => feedOne(hub, walk, feed, Number.POSITIVE_INFINITY)));
  },

  /** Each hub takes one reading of each sensor now and then, not all at the same time, until it is told to be quiet. */
  live: async ({ sensors, everyMs }: Live): Promise<void> => {
    for (const [i, hub] of hubs.entries()) {
      const take = () => {
        const done = append(hub, measured(sensors)).finally(() => appending.delete(done));
        appending.add(done);
      };
      const first = milliseconds((i * everyMs) / hubs.length);
      measuring.push(clock.after(first, () => measuring.push(every(clock, milliseconds(everyMs), take))));
    }
  },

  quiet: async (_: null): Promise<void> => {
    for (const timer of measuring) timer.disarm();
    await Promise.all(appending);
  },

  /** Resolves when the cloud has acknowledged everything, with the moment of that. */
  delivered: async (_: null): Promise<EpochMs> => {
    await until(() => hubs.every(({ queuedReadings }) => queuedReadings === 0));
    return clock.now();
  },

  /** What has become durable here, by machine id. */
  durable: async (_: null): Promise<Readonly<Record<string, number>>> => durable,
};

export type HubAbilities = typeof abilities;

serve(abilities, async () => {
  await Promise.all(hubs.map((hub) => hub.stop()));
});
