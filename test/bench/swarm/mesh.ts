// A mesh with very many hubs: the cloud and one connector as processes of their own, which can be asked how much memory
// they need, and generator processes for all other connectors and all hubs (programs/swarm.ts).
import { access, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from '../../../src/client/index.js';
import { cloudPaths } from '../../../src/cloud/cloud-files.js';
import { freePort } from '../../../src/demo/free-port.js';
import { RoleProcess, until } from '../../../src/demo/processes.js';
import { type Duration, minutes, seconds } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { inParallel } from '../parallel.js';
import type { BenchContext } from '../part.js';
import { Program } from '../program.js';
import type { SwarmAbilities, SwarmSite, SwarmState } from '../programs/swarm.js';
import { type Provisioned, provision } from '../provision.js';
import { type MemoryUse, probeEnvironment, probeMemory } from './memory.js';

export interface SwarmSize {
  /** Each is a customer's only one. */
  readonly connectors: number;
  readonly hubsEach: number;
  /** Generator processes, besides the one for the hubs of the real connector. A hub's log holds six files open. */
  readonly swarms: number;
}

const PATIENCE = minutes(4);

export class SwarmMesh {
  #starts = 0;

  private constructor(
    private readonly context: BenchContext,
    readonly size: SwarmSize,
    private readonly address: string,
    private readonly plan: Provisioned,
    readonly cloud: RoleProcess,
    readonly connector: RoleProcess,
    private readonly swarms: readonly Program<SwarmAbilities>[],
  ) {}

  /** Everything is there, all trunks are up, and no hub has ever been seen. */
  static async start(size: SwarmSize, context: BenchContext): Promise<SwarmMesh> {
    const { directory, clock, random, scope, progress } = context;
    const { connectors, hubsEach } = size;
    const [address, lan] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    progress(`making keys and certificates for ${connectors} connectors and ${connectors * hubsEach} hubs`);
    const customers = Array.from({ length: connectors }, () => ({ connectors: 1, hubs: hubsEach }));
    const membersIn = await memoryFolder(context);
    const plan = await provision(
      directory,
      { customers, mesh: 'bench', cloudAddress: address, membersIn },
      { clock, random, log: silentLogger },
    );
    const role = (name: string, args: readonly string[]) => {
      const env = probeEnvironment(join(directory, `${name}.memory`));
      const logFile = join(directory, `${name}.log`);
      return scope.own(new RoleProcess({ name, args, env, logFile, wrap: profiling(name, context.profiles) }, clock));
    };
    const cloud = role('cloud', [
      ...['cloud', '--data', plan.cloud, '--listen', address, '--mesh', 'bench', '--name', '127.0.0.1'],
    ]);
    const connector = role('connector', [
      ...['connector', '--data', plan.customers[0]?.connectors[0] ?? '', '--listen', lan],
      // Announced where nobody listens: hubs are told by hand.
      ...['--interface', 'lo', '--ssdp-port', String(await freePort())],
    ]);
    const sites = sitesOf(plan, lan, size);
    const swarms = sites.map((_, i) => {
      const logFile = join(directory, `swarm-${i}.log`);
      return scope.own(new Program<SwarmAbilities>({ name: 'swarm', logFile }, clock));
    });
    const mesh = new SwarmMesh(context, size, address, plan, cloud, connector, swarms);
    progress('opening the logs of all hubs');
    await Promise.all(swarms.map((swarm, i) => swarm.ask('open', sites[i] ?? [])));
    progress('starting the cloud and all trunks');
    await mesh.startCloud();
    connector.start();
    await mesh.#all('dial', undefined);
    await mesh.#until('trunks are up', ({ trunks }) => trunks, connectors - 1);
    await connector.untilLog(/trunk to the cloud is up/, seconds(30));
    return mesh;
  }

  get hubs(): number {
    return this.size.connectors * this.size.hubsEach;
  }

  /** Resolves when it answers. */
  async startCloud(): Promise<void> {
    this.cloud.start();
    this.#starts += 1;
    const all = new RegExp(`(cloud is up[^]*){${this.#starts}}`);
    await this.cloud.untilLog(all, minutes(1));
  }

  /** Lets all hubs come, evenly over some time, and from then on report, each once in `every`. */
  async connectHubs(within: Duration, every: Duration): Promise<void> {
    await this.#all('connect', within);
    await this.#all('write', every);
  }

  untilAllUp(): Promise<void> {
    return this.#until('sessions are up', ({ sessions }) => sessions, this.hubs);
  }

  /** When sessions came up since this was asked last, milliseconds since 1970, ascending. */
  async arrivals(): Promise<number[]> {
    return (await this.#all('arrivals', undefined)).flat().sort((a, b) => a - b);
  }

  memory(role: RoleProcess): Promise<MemoryUse> {
    return probeMemory(role, this.context.clock);
  }

  /** Ends the reporting. Rejects unless the cloud holds of each hub exactly as many readings as that has written. */
  async verifyStored(): Promise<void> {
    const written = (await this.#all('rest', undefined)).flat();
    await this.#until('readings wait', ({ queued }) => queued, 0);
    const { caBundle, operatorToken } = cloudPaths(this.plan.cloud);
    const [ca, token] = await Promise.all([readFile(caBundle, 'utf8'), readFile(operatorToken, 'utf8')]);
    await using client = connect({ cloud: this.address, ca, token: token.trim() });
    await inParallel(32, written.length, async (i) => {
      const [machineId = '', count = 0] = written[i] ?? [];
      const { logs } = await client.readings.getLedger({ machineId });
      const stored = logs.reduce((sum, { readingCount }) => sum + readingCount, 0);
      if (stored === count && count > 0 && logs.every(({ lost }) => lost.length === 0)) return;
      throw new Error(`hub ${machineId} has written ${count} readings, ${stored} are stored`);
    });
  }

  #all<N extends keyof SwarmAbilities>(name: N, argument: Parameters<SwarmAbilities[N]>[0]) {
    return Promise.all(this.swarms.map((swarm) => swarm.ask(name, argument)));
  }

  async #until(what: string, of: (state: SwarmState) => number, wanted: number): Promise<void> {
    const { clock, signal } = this.context;
    let found = Number.NaN;
    await until(
      async () => {
        signal.throwIfAborted();
        found = (await this.#all('state', undefined)).reduce((sum, state) => sum + of(state), 0);
        return found === wanted;
      },
      PATIENCE,
      clock,
      () => `${found} ${what}, not ${wanted}`,
    );
  }
}

/** Node does not take it from NODE_OPTIONS. */
const profiling = (name: string, profiles: string | undefined): string[] =>
  profiles === undefined ? [] : ['sh', '-c', `exec "$0" --cpu-prof --cpu-prof-dir='${profiles}/${name}' "$@"`];

/** The hubs of the real connector are a site of their own; the others are dealt out to the generators. */
function sitesOf({ customers }: Provisioned, lan: string, { swarms }: SwarmSize): SwarmSite[][] {
  const [real, ...others] = customers.map(({ connectors, hubs }) => ({
    connector: join(connectors[0] ?? '', 'connector'),
    hubs: hubs.map(({ directory }) => directory),
  }));
  const dealt = Array.from({ length: swarms }, (_, i) => others.filter((__, j) => j % swarms === i));
  return [[{ lan, hubs: real?.hubs ?? [] }], ...dealt];
}

/**
 * For the hubs and their logs, whose disk is not what is measured: a folder in memory, where the system has such (Linux).
 * Gone after the part.
 */
async function memoryFolder({ directory, scope }: BenchContext): Promise<string> {
  const parent = await access('/dev/shm').then(
    () => '/dev/shm',
    () => directory,
  );
  const folder = join(parent, `occ-bench-${process.pid}`);
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
