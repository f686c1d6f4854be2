// A mesh of real processes for tests that break it: under load, with a seed, and with the verdict at the end. What is
// broken, and how, is in the tests.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MachineState } from '../../src/client/index.js';
import { type HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { type RoleProcess, until } from '../../src/demo/processes.js';
import { judge, sum, type Verdict } from '../../src/demo/verdict.js';
import { sleep, systemClock } from '../../src/kernel/clock.js';
import { defined } from '../../src/kernel/defined.js';
import { type Duration, milliseconds, seconds } from '../../src/kernel/duration.js';
import { seededRandom, testSeed } from './seeded-random.js';

export interface RoughOptions {
  readonly hubs: number;
  /** Sensors on each hub besides the usual ones; each measures once a second. */
  readonly sensors: number;
  readonly fallbackAfter?: Duration;
  readonly hubArgs?: readonly string[];
  readonly cloudArgs?: readonly string[];
}

/** Nothing lost, not even into a gap, nothing doubled, nothing altered. */
export const PERFECT = { lost: 0, inGaps: 0, duplicated: 0, altered: 0 };
export const flaws = ({ lost, inGaps, duplicated, altered }: Verdict) => ({ lost, inGaps, duplicated, altered });

/** What a hub may have on its way when it is asked to stop. */
const NEARLY_NOTHING = 200;

export class RoughMesh implements AsyncDisposable {
  readonly random: { uniform(): number };
  /** All journals of a hub, by machine id: one for each copy of it that has lived. */
  readonly journals = new Map<string, string[]>();
  #failed = true;

  private constructor(
    readonly mesh: LocalMesh,
    readonly directory: string,
  ) {
    this.random = seededRandom(testSeed);
  }

  /** Cloud, connector and hubs, online and loaded. */
  static async start({
    hubs,
    sensors,
    fallbackAfter = seconds(2),
    hubArgs,
    cloudArgs,
  }: RoughOptions): Promise<RoughMesh> {
    const directory = await mkdtemp(join(tmpdir(), 'occ-mesh-'));
    const mesh = await LocalMesh.start(
      {
        directory,
        hubs,
        interface: 'lo',
        // Not from the seed: meshes of several test runs must not hear one another.
        ssdpPort: 20_000 + (process.pid % 10_000) + meshes++,
        fallbackAfter,
        heartbeat: seconds(1),
        ...defined({ hubArgs, cloudArgs }),
      },
      systemClock,
    );
    const rough = new RoughMesh(mesh, directory);
    try {
      await mesh.startConnector();
      for (let n = 1; n <= hubs; n++) await rough.addHub(`hub-${n}`, sensors);
      await rough.untilReporting(seconds(30));
    } catch (thrown) {
      await rough[Symbol.asyncDispose]();
      throw thrown;
    }
    return rough;
  }

  get hubs(): readonly HubProcess[] {
    return this.mesh.hubs;
  }

  async addHub(name: string, sensors: number, args?: readonly string[]): Promise<HubProcess> {
    const hub = await this.mesh.addHub(name, args);
    this.journals.set(hub.machineId, [hub.journal]);
    await this.mesh.quicken(hub.machineId, seconds(1));
    await this.load(hub, sensors);
    return hub;
  }

  /** Another process runs the hub from now on. */
  replace(hub: HubProcess, process: RoleProcess): void {
    this.mesh.hubs[this.mesh.hubs.indexOf(hub)] = { ...hub, process };
  }

  /** One more journal counts in the verdict: of a hub made otherwise, or of another copy of one that is known. */
  judged(machineId: string, journal: string): void {
    this.journals.set(machineId, [...(this.journals.get(machineId) ?? []), journal]);
  }

  /** The hub is no longer judged, nor started again. */
  forget(hub: HubProcess): void {
    this.mesh.hubs.splice(this.mesh.hubs.indexOf(hub), 1);
    this.journals.delete(hub.machineId);
  }

  /** More sensors that cost next to nothing. */
  async load({ machineId }: HubProcess, sensors: number): Promise<void> {
    const { client } = this.mesh;
    const create = (_: unknown, n: number) =>
      client.sensors.createSensor({ machineId, kind: n % 2 === 0 ? 'load' : 'memory', intervalMs: 1_000 });
    await Promise.all(Array.from({ length: sensors }, create));
  }

  /** False when it has ended instead of coming up. */
  async startCloud(more: readonly string[] = []): Promise<boolean> {
    const { cloud } = this.mesh;
    const from = (await cloud.log()).length;
    cloud.start(more);
    await until(
      async () => !cloud.running || /cloud is up/.test((await cloud.log()).slice(from)),
      seconds(20),
      systemClock,
      async () => `the cloud neither came up nor ended: ${await this.tails()}`,
    );
    return cloud.running;
  }

  /** Resolves when the hub has a path. */
  async startHub({ process }: HubProcess): Promise<void> {
    const from = (await process.log()).length;
    process.start();
    await until(
      async () => (await process.log()).slice(from).includes('"path is up'),
      seconds(30),
      systemClock,
      () => this.tails(),
    );
  }

  /** Until all hubs do what they were told, and have reported something durable. */
  async untilReporting(within: Duration): Promise<void> {
    const silent = async () => {
      const machines = await this.mesh.machines().catch(() => []);
      const states = this.hubs.map(async ({ name, machineId, journal }) => {
        const machine = machines.find(({ id }) => id === machineId);
        const told = machine?.state === MachineState.ONLINE && machine.runningVersion === machine.configVersion;
        const { size } = await stat(journal).catch(() => ({ size: 0 }));
        return told && size > 0 ? [] : [name];
      });
      return (await Promise.all(states)).flat();
    };
    await until(
      async () => (await silent()).length === 0,
      within,
      systemClock,
      async () => `${await silent()} do not report: ${await this.tails()}`,
    );
  }

  /** Of what is on record now, without waiting for anything. */
  async verdict(): Promise<Verdict> {
    const all: Verdict[] = [];
    for (const [machineId, journals] of this.journals) all.push(await judge(this.mesh.client, machineId, journals));
    return sum(all);
  }

  /**
   * The verdict once everything has arrived that was recorded when it was asked for; what has not arrived within
   * `patience` is lost. Hubs that do not run are started first.
   */
  async settled(patience: Duration = seconds(60)): Promise<Verdict> {
    for (const { process } of this.hubs) if (!process.running) process.start();
    const deadline = systemClock.monotonic() + patience;
    for (;;) {
      // A cloud that has just been started may not answer yet.
      const verdict = await this.verdict().catch(() => undefined);
      if (verdict && verdict.durable === 0) throw new Error('nothing was reported durable: there is nothing to judge');
      if (verdict && (verdict.lost === 0 || systemClock.monotonic() > deadline)) return verdict;
      if (systemClock.monotonic() > deadline) return this.verdict();
      await sleep(systemClock, milliseconds(500));
    }
  }

  async untilDelivered(patience: Duration, hubs: readonly HubProcess[] = this.hubs): Promise<void> {
    const missing = async () => {
      const machines = await this.mesh.machines().catch(() => []);
      return hubs.filter(({ machineId }) => {
        const machine = machines.find(({ id }) => id === machineId);
        // The first heartbeat after a restart is what tells how much waits.
        const fresh = machine && machine.lastSeenMs > systemClock.now() - 3_000;
        return !(fresh && machine.state === MachineState.ONLINE && machine.queuedReadings <= NEARLY_NOTHING);
      });
    };
    await until(
      async () => (await missing()).length === 0,
      patience,
      systemClock,
      async () => `${(await missing()).map(({ name }) => name)} did not deliver: ${await this.tails()}`,
    );
  }

  /** The last lines of every process, for the message of a failure. */
  async tails(): Promise<string> {
    const processes = [this.mesh.cloud, this.mesh.connector, ...this.hubs.map(({ process }) => process)];
    const logs = await Promise.all(
      processes.map(async (process) => `\n── ${process.options.name}\n${(await process.log()).slice(-1_500)}`),
    );
    return logs.join('');
  }

  /** To be called last: only then the directory is not kept. */
  passed(): void {
    this.#failed = false;
  }

  pause(upTo: Duration): Promise<void> {
    return sleep(systemClock, milliseconds(this.random.uniform() * upTo));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mesh.stop();
    if (this.#failed) process.stderr.write(`      logs and data are kept in ${this.directory}\n`);
    else await rm(this.directory, { recursive: true, force: true });
  }
}

let meshes = 0;
