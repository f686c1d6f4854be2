// Real hubs in a few processes, which put a site under load, and what comes of it.
import { join } from 'node:path';
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

export class HubLoad {
  private constructor(
    private readonly site: Site,
    private readonly hubs: readonly ProvisionedHub[],
    private readonly programs: readonly Program<HubAbilities>[],
  ) {}

  /** Processes for hubs of a site, evenly divided; none of the hubs runs yet. */
  static make(site: Site, hubs: readonly ProvisionedHub[], processes: number): HubLoad {
    return new HubLoad(
      site,
      hubs,
      Array.from({ length: processes }, () => site.hubProgram()),
    );
  }

  /** Resolves when all hubs have a session. */
  async start(batchReadings?: number): Promise<void> {
    const { site, hubs, programs } = this;
    await this.#all((program, i) => {
      const directories = hubs.filter((_, hub) => hub % programs.length === i).map(({ directory }) => directory);
      const batches = batchReadings === undefined ? {} : { batchReadings };
      return program.ask('start', { directories, connector: site.connectorAddress, ...batches });
    });
  }

  /** Draws the numbers that each hub's sensors will measure. */
  async prepare(readings: number, sensors: number): Promise<void> {
    await this.#all((program) => program.ask('prepare', { readings, sensors }));
  }

  /** Resolves when so many readings of each hub have been taken, in flushes of a size, and acknowledged by the cloud. */
  async feed(readings: number, flush: number): Promise<void> {
    await this.#all((program) => program.ask('feed', { readings, flush }));
  }

  async stop(): Promise<void> {
    await this.#all((program) => program.stop());
  }

  /**
   * Compares what the hubs have reported durable with what the cloud's ledgers say. Resolves with the sum; rejects when
   * a single hub's differ.
   */
  async verifyStored(): Promise<number> {
    const durable = Object.assign({}, ...(await this.#all((program) => program.ask('durable', null)))) as object;
    const held = await this.site.heldReadings(this.hubs);
    for (const [machineId, count] of Object.entries(durable)) {
      const stored = held.get(machineId);
      if (stored !== count) throw new Error(`hub ${machineId} has reported ${count} readings, ${stored} are stored`);
    }
    return [...held.values()].reduce((sum, count) => sum + count, 0);
  }

  cpu(): RoleCpu {
    const { cloud, connector } = this.site;
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
