// Part `scale`: 100 connectors with 100 hubs each. What does the cloud need for 10,000 sessions, what a connector for its
// 100, and how long does it take until all are back when the cloud has been killed?
//
// The cloud and one connector are the program itself, as processes of their own. The hubs of that connector come over its
// LAN, 100 TLS connections; the other 99 connectors and 9,900 hubs live in a few generator processes (programs/swarm.ts
// says what that leaves out), whose processor time and memory count nowhere. Each hub gives a sign of life and writes a
// reading every 10 s. At the end the ledger of every hub is compared with what the hub has written: only then the figures
// are worth telling.
//
// Memory is that after a forced collection, all hubs up and reporting, less that with all trunks up and no hub ever seen.
import { access, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type MeshClient } from '../../../src/client/index.js';
import { freePort } from '../../../src/demo/mesh.js';
import { RoleProcess, until } from '../../../src/demo/processes.js';
import { sleep } from '../../../src/kernel/clock.js';
import { type Duration, milliseconds, minutes, seconds } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { type MemoryUse, probeEnvironment, probeMemory } from '../memory.js';
import { inParallel } from '../parallel.js';
import type { BenchContext, Figure, Part, Sample } from '../part.js';
import { figuresOf } from '../part.js';
import { cpuSeconds } from '../processes.js';
import { Program } from '../program.js';
import type { Site, SwarmState, swarm } from '../programs/swarm.js';
import { type Provisioned, provision } from '../provision.js';

type Swarm = Program<typeof swarm>;

interface Size {
  readonly connectors: number;
  readonly hubsEach: number;
  /** Generator processes, besides the one for the hubs of the real connector. A log holds six files open. */
  readonly swarms: number;
  /** Over how long the hubs come at first. */
  readonly arrival: Duration;
  /** How long processor time is measured. */
  readonly window: Duration;
}

const FULL: Size = { connectors: 100, hubsEach: 100, swarms: 4, arrival: seconds(20), window: seconds(20) };
const TINY: Size = { connectors: 3, hubsEach: 4, swarms: 1, arrival: seconds(1), window: seconds(2) };
const EVERY = seconds(10);
const PATIENCE = minutes(4);

export const scale: Part = {
  name: 'scale',
  about: '10,000 hubs behind 100 connectors: memory, processor time, and a cloud that is killed and comes back',
  async run(context) {
    const mesh = await BigMesh.start(context, context.smoke ? TINY : FULL);
    return await mesh.measure();
  },
};

class BigMesh {
  private constructor(
    private readonly context: BenchContext,
    private readonly size: Size,
    private readonly mesh: Provisioned,
    private readonly cloud: RoleProcess,
    private readonly connector: RoleProcess,
    private readonly swarms: readonly Swarm[],
    private readonly address: string,
  ) {}

  /** Everything is there, all trunks are up, and no hub has ever been seen. */
  static async start(context: BenchContext, size: Size): Promise<BigMesh> {
    const { directory, clock, random, scope, progress } = context;
    const { connectors, hubsEach } = size;
    const [address, lan] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    // Hubs and their logs live in memory where that is possible: what their disk can do is not measured here.
    const members = await memoryFolder(context);
    progress(`making ${connectors} connectors and ${connectors * hubsEach} hubs`);
    const customers = Array.from({ length: connectors }, () => ({ connectors: 1, hubs: hubsEach }));
    const plan = { customers, mesh: 'bench', cloudAddress: address, membersIn: members };
    const mesh = await provision(directory, plan, { clock, random, log: silentLogger });
    const role = (name: string, args: readonly string[]) =>
      scope.own(
        new RoleProcess(
          {
            name,
            args,
            logFile: join(directory, `${name}.log`),
            env: probeEnvironment(join(directory, `${name}.memory`)),
          },
          clock,
        ),
      );
    const cloud = role('cloud', [
      'cloud',
      '--data',
      mesh.cloud,
      '--mesh',
      'bench',
      '--listen',
      address,
      '--name',
      '127.0.0.1',
    ]);
    const [first] = mesh.customers;
    const connector = role('connector', [
      ...['connector', '--data', first?.connectors[0] ?? '', '--listen', lan, '--interface', 'lo'],
      ...['--ssdp-port', String(await freePort())],
    ]);
    const sites = sitesOf(mesh, lan, size);
    const swarms = sites.map((_, i) =>
      scope.own(new Program<typeof swarm>({ name: 'swarm', logFile: join(directory, `swarm-${i}.log`) }, clock)),
    );
    progress('opening the logs of all hubs');
    await Promise.all(swarms.map((one, i) => one.ask('settle', sites[i] ?? [])));
    const made = new BigMesh(context, size, mesh, cloud, connector, swarms, address);
    progress('starting the cloud and all trunks');
    await made.#startCloud();
    connector.start();
    await Promise.all(swarms.map((one) => one.ask('dial', undefined)));
    await made.#untilSwarms('all trunks', ({ trunks }) => trunks, connectors - 1);
    await connector.untilLog(/trunk to the cloud is up/, seconds(30));
    return made;
  }

  async measure(): Promise<readonly Figure[]> {
    const { clock, progress, runs } = this.context;
    const { arrival, hubsEach, window } = this.size;
    const samples: Sample[] = [];
    // What comes along with a start is over.
    await sleep(clock, seconds(3));
    const before = { cloud: await this.#memory(this.cloud), connector: await this.#memory(this.connector) };
    progress('connecting all hubs');
    await Promise.all(this.swarms.map((one) => one.ask('connect', arrival)));
    await Promise.all(this.swarms.map((one) => one.ask('write', EVERY)));
    await this.#untilAllUp();
    await this.#askAll('arrivals');

    for (let run = 1; run <= runs; run++) {
      progress(`run ${run}: the cloud is killed`);
      await this.cloud.kill();
      const killed = clock.now();
      await this.#startCloud();
      const answering = clock.now();
      await this.#untilAllUp();
      const arrivals = (await this.#askAll('arrivals')).flat().sort((a, b) => a - b);
      progress(`run ${run}: all are back; processor time and memory`);
      // Every hub has reported and everything is acknowledged.
      await sleep(clock, milliseconds(EVERY + 2_000));
      const used = cpuSeconds(this.cloud.pid ?? 0);
      const since = clock.monotonic();
      await sleep(clock, window);
      const load = (cpuSeconds(this.cloud.pid ?? 0) - used) / ((clock.monotonic() - since) / 1_000);
      const now = { cloud: await this.#memory(this.cloud), connector: await this.#memory(this.connector) };
      samples.push(
        ...this.#memorySamples('cloud', this.#hubs, before.cloud, now.cloud),
        ...this.#memorySamples('connector', hubsEach, before.connector, now.connector),
        { ...this.#at('CPU of the cloud', '% of a core'), value: load * 100 },
        { ...this.#at('cloud answers after a kill', 's'), value: (answering - killed) / 1_000 },
        {
          ...this.#at('sessions back after a cloud restart', 's'),
          value: ((arrivals.at(-1) ?? killed) - killed) / 1_000,
        },
        {
          ...this.#at('half of the sessions back', 's'),
          value: ((arrivals[this.#hubs >> 1] ?? killed) - killed) / 1_000,
        },
        { ...this.#at('highest admission rate', '1/s'), value: highestRate(arrivals) },
      );
    }
    progress('comparing what is stored with what was written');
    await this.#verify();
    return figuresOf(samples);
  }

  get #hubs(): number {
    return this.size.connectors * this.size.hubsEach;
  }

  #at(figure: string, unit: string): Omit<Sample, 'value'> {
    return { figure, at: `${this.#hubs.toLocaleString('en')} sessions`, unit };
  }

  #memorySamples(role: string, hubs: number, before: MemoryUse, now: MemoryUse): Sample[] {
    const perHub = (of: keyof MemoryUse) => (now[of] - before[of]) / hubs / 1_024;
    const at = `${hubs.toLocaleString('en')} sessions`;
    return [
      { figure: `${role} memory per hub`, at, unit: 'KiB', value: perHub('heapAndExternal') },
      { figure: `${role} RSS per hub`, at, unit: 'KiB', value: perHub('resident') },
    ];
  }

  async #memory(role: RoleProcess): Promise<MemoryUse> {
    const file = role.options.env?.BENCH_MEMORY ?? '';
    return await probeMemory(role.pid ?? 0, file, this.context.clock);
  }

  async #startCloud(): Promise<void> {
    const before = (await this.cloud.log()).split('cloud is up').length;
    this.cloud.start();
    await until(
      async () => (await this.cloud.log()).split('cloud is up').length > before,
      minutes(1),
      this.context.clock,
      () => 'the cloud does not come up',
    );
  }

  #askAll<N extends 'arrivals' | 'rest' | 'state'>(name: N) {
    return Promise.all(this.swarms.map((one) => one.ask(name, undefined)));
  }

  async #untilSwarms(what: string, of: (state: SwarmState) => number, wanted: number): Promise<void> {
    const { clock, signal } = this.context;
    let found = Number.NaN;
    await until(
      async () => {
        signal.throwIfAborted();
        found = (await this.#askAll('state')).reduce((sum, state) => sum + of(state), 0);
        return found === wanted;
      },
      PATIENCE,
      clock,
      () => `${what}: ${found} instead of ${wanted}`,
    );
  }

  #untilAllUp(): Promise<void> {
    return this.#untilSwarms('sessions that are up', ({ sessions }) => sessions, this.#hubs);
  }

  /** The cloud holds of each hub as many readings as that has written, no more and no less. */
  async #verify(): Promise<void> {
    const written = (await this.#askAll('rest')).flat();
    await this.#untilSwarms('readings not acknowledged', ({ queued }) => queued, 0);
    await using client = await this.#client();
    const wrong: string[] = [];
    await inParallel(32, written.length, async (i) => {
      const [machineId = '', count = 0] = written[i] ?? [];
      const { logs } = await client.readings.getLedger({ machineId });
      const stored = logs.reduce((sum, { readingCount }) => sum + readingCount, 0);
      const isLost = logs.some(({ lost }) => lost.length > 0);
      if (stored !== count || count === 0 || isLost)
        wrong.push(`${machineId} has written ${count}, ${stored} are stored`);
    });
    if (wrong.length > 0) throw new Error(`${wrong.length} hubs of ${written.length}: ${wrong.slice(0, 3).join('; ')}`);
  }

  async #client(): Promise<MeshClient> {
    const folder = this.mesh.cloud;
    const token = (await readFile(join(folder, 'operator.token'), 'utf8')).trim();
    return connect({ cloud: this.address, ca: await readFile(join(folder, 'ca', 'ca.crt'), 'utf8'), token });
  }
}

/** The first site is that of the real connector; the others are dealt out to the generators. */
function sitesOf({ customers }: Provisioned, lan: string, { swarms }: Size): Site[][] {
  const [real, ...others] = customers.map(({ connectors, hubs }) => ({
    connector: join(connectors[0] ?? '', 'connector'),
    hubs: hubs.map(({ directory }) => directory),
  }));
  const dealt = Array.from({ length: swarms }, (_, i) => others.filter((__, j) => j % swarms === i));
  return [[{ lan, hubs: real?.hubs ?? [] }], ...dealt];
}

/** A folder in memory where the system has such (Linux), otherwise on disk; gone after the part. */
async function memoryFolder({ directory, scope }: BenchContext): Promise<string> {
  const parent = await access('/dev/shm').then(
    () => '/dev/shm',
    () => directory,
  );
  const folder = join(parent, `occ-bench-${process.pid}`);
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Sessions in the best second, with seconds that begin at any arrival. */
function highestRate(arrivals: readonly number[]): number {
  let [best, from] = [0, 0];
  for (const [i, at] of arrivals.entries()) {
    while ((arrivals[from] ?? at) <= at - 1_000) from += 1;
    best = Math.max(best, i - from + 1);
  }
  return best;
}
