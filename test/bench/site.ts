// A customer's site before it has ever run, and copies of it that run: a cloud, a connector and hubs with real keys and
// certificates, and the internet between connector and cloud. Each run begins with a fresh copy, on the same ports.
import { cp, link, mkdir, readFile, rm } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { connect, every, type MeshClient } from '../../src/client/index.js';
import { cloudPaths } from '../../src/cloud/cloud-files.js';
import { freePort } from '../../src/demo/free-port.js';
import { Internet } from '../../src/demo/internet.js';
import { RoleProcess } from '../../src/demo/processes.js';
import { type Duration, milliseconds, seconds } from '../../src/kernel/duration.js';
import { silentLogger as log } from '../../src/kernel/log.js';
import { Scope, type Stoppable } from '../../src/kernel/scope.js';
import { Wal } from '../../src/wal/wal.js';
import { HubLoad } from './load.js';
import type { BenchContext } from './part.js';
import { Program } from './program.js';
import type { HubAbilities } from './programs/hubs.js';
import { type ProvisionedHub, provision } from './provision.js';
import { compactedSize } from './store-size.js';

export interface Neighbour {
  readonly customerId: string;
  readonly connector: string;
  readonly hubs: readonly ProvisionedHub[];
  readonly port: number;
}

export interface Plan {
  /** Below the part's folder. */
  readonly directory: string;
  readonly cloud: string;
  readonly connector: string;
  readonly hubs: readonly ProvisionedHub[];
  /** Another customer of the same cloud, with a connector of its own and as many hubs as were asked for. */
  readonly neighbour: Neighbour;
  /** Bytes of the cloud's store, before there is a reading in it. */
  readonly storeSize: number;
  /** A log's reserve of disk space. That every hub writes one at its first start is not what is measured. */
  readonly reserve: string;
  readonly ports: { readonly cloud: number; readonly internet: number; readonly connector: number };
}

/** Everything that has to be there before a first start. */
export async function planSite(hubCount: number, context: BenchContext, neighbours = 0): Promise<Plan> {
  const { directory, clock, random, progress } = context;
  progress(`making keys and certificates for ${hubCount + neighbours} hubs`);
  const ports = { cloud: await freePort(), internet: await freePort(), connector: await freePort() };
  const plan = {
    customers: [hubCount, neighbours].map((hubs) => ({ connectors: 1, hubs })),
    mesh: 'bench',
    cloudAddress: `127.0.0.1:${ports.internet}`,
  };
  const folder = join(directory, 'plan');
  const { cloud, customers } = await provision(folder, plan, { clock, random, log });
  const [own, other] = customers;
  const [connector, beside] = [own?.connectors[0], other?.connectors[0]];
  if (!own || !other || connector === undefined || beside === undefined) throw new Error('the site has no connector');
  const storeSize = await compactedSize(cloudPaths(cloud).store);
  const reserve = await makeReserve(join(directory, 'log'), context);
  await linkReserves(reserve, [...own.hubs, ...other.hubs]);
  const neighbour = { customerId: other.id, connector: beside, hubs: other.hubs, port: await freePort() };
  return { directory: folder, cloud, connector, hubs: own.hubs, neighbour, storeSize, reserve, ports };
}

/** A process that can run hubs. */
export function hubProgram(logFile: string, { profiles, clock }: BenchContext): Program<HubAbilities> {
  const execArgv = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}/hubs`];
  return new Program<HubAbilities>({ name: 'hubs', logFile, execArgv }, clock);
}

async function makeReserve(directory: string, { clock, random }: BenchContext): Promise<string> {
  const signGap = () => {
    throw new Error('there is nothing in this log');
  };
  const wal = await Wal.open({ directory, machineId: Buffer.alloc(16) }, { clock, random, log, signGap });
  await wal.stop();
  return join(directory, 'reserve');
}

async function linkReserves(reserve: string, hubs: readonly ProvisionedHub[]): Promise<void> {
  for (const { directory } of hubs) {
    await mkdir(join(directory, 'log'), { recursive: true, mode: 0o700 });
    await link(reserve, join(directory, 'log', 'reserve'));
  }
}

export interface SiteOptions {
  /** One way between connector and cloud. */
  readonly delay?: Duration;
}

export class Site implements Stoppable {
  readonly #scope = new Scope();
  readonly hubs: readonly ProvisionedHub[];
  readonly neighbours: readonly ProvisionedHub[];
  readonly cloud: RoleProcess;
  readonly connector: RoleProcess;
  readonly #neighbour: RoleProcess;
  #internet: Internet | undefined;
  #client: MeshClient | undefined;
  #programs = 0;

  private constructor(
    readonly plan: Plan,
    readonly directory: string,
    private readonly options: SiteOptions,
    private readonly context: BenchContext,
  ) {
    const { cloud, connector, ports, neighbour } = plan;
    const here = (hub: ProvisionedHub) => ({ ...hub, directory: this.#here(hub.directory) });
    this.hubs = plan.hubs.map(here);
    this.neighbours = neighbour.hubs.map(here);
    this.cloud = this.#role('cloud', [
      ...['cloud', '--data', this.#here(cloud), '--listen', `127.0.0.1:${ports.cloud}`, '--mesh', 'bench'],
      ...['--public', `127.0.0.1:${ports.internet}`, '--name', '127.0.0.1'],
    ]);
    this.connector = this.#connectorRole('connector', connector, ports.connector);
    this.#neighbour = this.#connectorRole('neighbour', neighbour.connector, neighbour.port);
  }

  /** A copy of the plan with a cloud that runs. Stopped and removed with the part at the latest. */
  static async start(plan: Plan, name: string, options: SiteOptions, context: BenchContext): Promise<Site> {
    const directory = join(context.directory, name);
    const isNoReserve = (path: string) => basename(path) !== 'reserve';
    await cp(plan.directory, directory, { recursive: true, filter: isNoReserve });
    await mkdir(join(directory, 'logs'));
    const site = context.scope.own(new Site(plan, directory, options, context));
    await linkReserves(plan.reserve, [...site.hubs, ...site.neighbours]);
    await site.#start();
    return site;
  }

  get connectorAddress(): string {
    return `127.0.0.1:${this.plan.ports.connector}`;
  }

  get neighbourAddress(): string {
    return `127.0.0.1:${this.plan.neighbour.port}`;
  }

  get internet(): Internet {
    if (!this.#internet) throw new Error('the site has not been started');
    return this.#internet;
  }

  /** Reaches the cloud past the internet. */
  get client(): MeshClient {
    if (!this.#client) throw new Error('the site has not been started');
    return this.#client;
  }

  /** Likewise, with a connection of its own; closed by whoever asked for it. */
  async anotherClient(): Promise<MeshClient> {
    return connect(await this.access());
  }

  /** How an operator reaches the cloud. */
  async access(): Promise<{ readonly cloud: string; readonly ca: string; readonly token: string }> {
    const { caBundle, operatorToken } = cloudPaths(this.#here(this.plan.cloud));
    const [ca, token] = await Promise.all([readFile(caBundle, 'utf8'), readFile(operatorToken, 'utf8')]);
    return { cloud: `127.0.0.1:${this.plan.ports.cloud}`, ca, token };
  }

  get store(): string {
    return cloudPaths(this.#here(this.plan.cloud)).store;
  }

  startConnector(): Promise<void> {
    return started(this.connector);
  }

  startNeighbour(): Promise<void> {
    return started(this.#neighbour);
  }

  /** A hub as the program itself. */
  startHub({ directory }: ProvisionedHub): RoleProcess {
    const ways = ['--connector', this.connectorAddress, '--no-multicast', '--no-direct'];
    const hub = this.#scope.own(this.#role('hub', ['hub', '--data', directory, ...ways]));
    hub.start();
    return hub;
  }

  /** Hubs of this site in processes of their own; nothing of them runs yet. */
  load(hubs: readonly ProvisionedHub[], processes: number): HubLoad {
    const log = () => join(this.directory, 'logs', `hubs-${this.#programs++}.log`);
    const programs = Array.from({ length: processes }, () => this.#scope.own(hubProgram(log(), this.context)));
    return new HubLoad(hubs, programs);
  }

  /** How many readings of a hub its ledger in the cloud has. Throws when something is known to be gone. */
  async heldReadings(machineId: string): Promise<number> {
    let count = 0;
    for await (const { readingCount, lost } of every(this.client.readings.getLedger, 'logs', { machineId })) {
      if (lost.length > 0) throw new Error(`readings of hub ${machineId} are lost`);
      count += readingCount;
    }
    return count;
  }

  stop(): Promise<void> {
    return this.#scope.stop();
  }

  /** Ends it, and makes room on the disk. */
  async remove(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const { clock } = this.context;
    const { ports } = this.plan;
    const { delay = milliseconds(0) } = this.options;
    this.#internet = await Internet.start(() => ports.cloud, { port: ports.internet, delay }, clock);
    this.#scope.own(this.#internet);
    this.#scope.own(this.cloud);
    this.#scope.own(this.connector);
    this.#scope.own(this.#neighbour);
    this.cloud.start();
    await this.cloud.untilLog(/cloud is up/, seconds(60));
    const client = await this.anotherClient();
    this.#client = client;
    this.#scope.defer(() => client.close());
  }

  #connectorRole(name: string, data: string, port: number): RoleProcess {
    return this.#role(name, [
      ...['connector', '--data', this.#here(data), '--listen', `127.0.0.1:${port}`],
      // Announced where nobody listens: hubs are told by hand.
      ...['--interface', 'lo', '--ssdp-port', String(port)],
    ]);
  }

  #role(name: string, args: readonly string[]): RoleProcess {
    const { profiles, clock } = this.context;
    const logFile = join(this.directory, 'logs', `${name}.log`);
    // Node does not take it from NODE_OPTIONS.
    const profiled = ['sh', '-c', `exec "$0" --cpu-prof --cpu-prof-dir='${profiles}/${name}' "$@"`];
    return new RoleProcess({ name, args, logFile, wrap: profiles === undefined ? [] : profiled }, clock);
  }

  #here(planned: string): string {
    return join(this.directory, relative(this.plan.directory, planned));
  }
}

async function started(connector: RoleProcess): Promise<void> {
  connector.start();
  await connector.untilLog(/trunk to the cloud is up/, seconds(30));
}
