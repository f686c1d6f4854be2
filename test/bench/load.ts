// Real hubs in a few processes, which put a site under load, and what comes of it.
import { join } from 'node:path';
import type { EpochMs } from '../../src/kernel/duration.js';
import { cpuSeconds } from './processes.js';
import type { Program } from './program.js';
import type { HubAbilities } from './programs/hubs.js';
import type { ProvisionedHub } from './provision.js';
import type { Site } from './site.js';
import { folderSize } from './store-size.js';

/** Processor time that each role has taken so far, seconds. */
export interface RoleCpu {
  readonly hubs: number;
  readonly connector: number;
  readonly cloud: number;
}

/** Readings of each hub, by machine id. */
export type Counts = Readonly<Record<string, number>>;

export class HubLoad {
  constructor(
    private readonly hubs: readonly ProvisionedHub[],
    /** Among which the hubs are divided evenly. */
    private readonly programs: readonly Program<HubAbilities>[],
  ) {}

  /** With a session to a connector where one is named. */
  async start(connector?: string, batchReadings?: number): Promise<void> {
    const { hubs, programs } = this;
    await this.#all((program, i) => {
      const directories = hubs.filter((_, hub) => hub % programs.length === i).map(({ directory }) => directory);
      const named = connector === undefined ? {} : { connector };
      const batches = batchReadings === undefined ? {} : { batchReadings };
      return program.ask('start', { directories, ...named, ...batches });
    });
  }

  /** Resolves when all have a session, with the moment at which the first one had. */
  async connected(): Promise<EpochMs> {
    const firsts = await this.#all((program) => program.ask('connected', null));
    return Math.min(...firsts) as EpochMs;
  }

  /** Draws the numbers that each hub's sensors will measure. */
  async prepare(readings: number, sensors: number): Promise<void> {
    await this.#all((program, i) => program.ask('prepare', { readings, sensors, seed: i * this.hubs.length }));
  }

  /** Each hub takes so many readings in flushes of a size. Resolves when the cloud has acknowledged all of them. */
  async feed(readings: number, flush: number): Promise<void> {
    await this.#all(async (program) => {
      await program.ask('feed', { readings, flush });
      await program.ask('delivered', null);
    });
  }

  /** The same without a cloud: resolves when everything is in the logs. */
  async fill(readings: number, flush: number): Promise<void> {
    await this.#all((program) => program.ask('fill', { readings, flush }));
  }

  /** From now on each hub measures now and then, until quiet(). */
  async live(sensors: number, everyMs: number): Promise<void> {
    await this.#all((program) => program.ask('live', { sensors, everyMs }));
  }

  async quiet(): Promise<void> {
    await this.#all((program) => program.ask('quiet', null));
  }

  /** Resolves when the cloud has acknowledged everything, with the moment of that. */
  async delivered(): Promise<EpochMs> {
    const moments = await this.#all((program) => program.ask('delivered', null));
    return Math.max(...moments) as EpochMs;
  }

  /** What these processes have reported durable. */
  async durable(): Promise<Counts> {
    return Object.assign({}, ...(await this.#all((program) => program.ask('durable', null))));
  }

  async stop(): Promise<void> {
    await this.#all((program) => program.stop());
  }

  cpu({ cloud, connector }: Site): RoleCpu {
    const of = (pid: number | undefined) => (pid === undefined ? Number.NaN : cpuSeconds(pid));
    const hubs = this.programs.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
    return { hubs, connector: of(connector.pid), cloud: of(cloud.pid) };
  }

  /** Bytes of all logs of the hubs, without the reserves that stand beside them. */
  async logSize(): Promise<number> {
    const sizes = await Promise.all(this.hubs.map(({ directory }) => folderSize(join(directory, 'log', 'store'))));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  #all<T>(action: (program: Program<HubAbilities>, index: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.programs.map(action));
  }
}

/**
 * Compares what hubs have reported durable with what the cloud's ledgers hold of them. Resolves with how many readings
 * that is; rejects when a single hub's differ.
 */
export async function verifyStored(site: Site, durable: Counts): Promise<number> {
  let sum = 0;
  for (const [machineId, count] of Object.entries(durable)) {
    const stored = await site.heldReadings(machineId);
    if (stored !== count) throw new Error(`hub ${machineId} has reported ${count} readings, ${stored} are stored`);
    sum += stored;
  }
  return sum;
}
