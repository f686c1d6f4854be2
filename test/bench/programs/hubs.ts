// A process with many real hubs in it, each with its own directory, log, key and session. They have no sensors: what
// they measure is handed to them here, as much at a time as is asked for, and no faster than the cloud takes it.
import { Hub } from '../../../src/hub/hub.js';
import { systemClock as clock, every } from '../../../src/kernel/clock.js';
import { milliseconds } from '../../../src/kernel/duration.js';
import { createLogger } from '../../../src/kernel/log.js';
import { systemRandom as random } from '../../../src/kernel/random.js';
import { serve } from '../program.js';
import { Walk } from '../readings.js';

/** Flushes that a hub may have on their way to the cloud: enough that it never waits for want of work. */
const OUTSTANDING = 8;
/** How often is looked whether there is room for more. */
const LOOK = milliseconds(5);

export interface StartHubs {
  readonly directories: readonly string[];
  readonly connector: string;
  readonly batchReadings?: number;
}

export interface Load {
  /** Of each hub. */
  readonly readings: number;
  readonly sensors: number;
  /** Readings in a flush. */
  readonly flush: number;
}

const hubs: Hub[] = [];
const walks = new Map<Hub, Walk>();
/** Readings that each hub has reported durable. */
const durable = new Map<Hub, number>();

const looked = new Set<() => void>();
every(clock, LOOK, () => {
  for (const wake of [...looked]) wake();
});
const look = () =>
  new Promise<void>((resolve) => {
    const wake = () => {
      looked.delete(wake);
      resolve();
    };
    looked.add(wake);
  });

async function append(hub: Hub, walk: Walk, count: number): Promise<void> {
  const { readings } = await hub.append(walk.take(count));
  durable.set(hub, (durable.get(hub) ?? 0) + readings.length);
}

async function feedOne(hub: Hub, walk: Walk, readings: number, flush: number): Promise<void> {
  for (let left = readings; left > 0; ) {
    if (hub.queuedReadings >= OUTSTANDING * flush) {
      await look();
      continue;
    }
    const count = Math.min(flush, left);
    await append(hub, walk, count);
    left -= count;
  }
  while (hub.queuedReadings > 0) await look();
}

const abilities = {
  /** Resolves when all of them have a session. */
  start: async ({ directories, connector, batchReadings }: StartHubs): Promise<void> => {
    const log = await createLogger({ role: 'hub', level: 'warn', pretty: false });
    const options = {
      connectors: [connector],
      directAllowed: false,
      multicast: false,
      ...(batchReadings === undefined ? {} : { batchReadings }),
    };
    hubs.push(
      ...(await Promise.all(
        directories.map((directory) => Hub.start({ ...options, directory }, { clock, random, log })),
      )),
    );
    while (hubs.some(({ path }) => path !== 'connector')) await look();
  },

  /** Draws the numbers that feed() will need. */
  prepare: async ({ readings, sensors }: Pick<Load, 'readings' | 'sensors'>): Promise<void> => {
    const start = clock.now() - (readings / sensors) * 1_000;
    for (const hub of hubs) walks.set(hub, new Walk(sensors, readings, start, random));
  },

  /** Resolves when the cloud has acknowledged everything. */
  feed: async ({ readings, flush }: Pick<Load, 'readings' | 'flush'>): Promise<void> => {
    await Promise.all([...walks].map(([hub, walk]) => feedOne(hub, walk, readings, flush)));
  },

  /** What has become durable, by machine id. */
  durable: async (_: null): Promise<Record<string, number>> =>
    Object.fromEntries([...durable].map(([{ machineId }, count]) => [machineId, count])),
};

export type HubAbilities = typeof abilities;

serve(abilities, async () => {
  await Promise.all(hubs.map((hub) => hub.stop()));
});
