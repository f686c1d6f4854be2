// A whole mesh on this machine: one cloud, one connector, some hubs, as processes of their own, enrolled with real
// tokens. The demo tells a story with it, tests break it.
import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type Machine, MachineState, type MeshClient, Role } from '../client/index.js';
import { formatEnrollmentToken, parseEnrollmentToken } from '../identity/token-text.js';
import type { Clock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { type Duration, seconds } from '../kernel/duration.js';
import { Scope, type Stoppable } from '../kernel/scope.js';
import { freePort } from './free-port.js';
import { Internet } from './internet.js';
import { type ProcessOptions, RoleProcess, until } from './processes.js';

export interface MeshOptions {
  /** Data, logs, tokens; must not exist yet or be empty. */
  readonly directory: string;
  readonly hubs: number;
  /** Where SSDP is spoken: a name or an address. */
  readonly interface: string;
  readonly ssdpPort: number;
  readonly fallbackAfter: Duration;
  readonly heartbeat: Duration;
  /** Flags for every hub besides. */
  readonly hubArgs?: readonly string[];
  /** Of every process besides. */
  readonly env?: NodeJS.ProcessEnv;
  /** Flags for the cloud besides. */
  readonly cloudArgs?: readonly string[];
  /** Flags for the first connector besides. */
  readonly connectorArgs?: readonly string[];
  /** Where the cloud listens; by default a free port. */
  readonly cloudPort?: number;
  /** One way between customer and cloud. */
  readonly delay?: Duration;
  /** Between customer and cloud, each way. */
  readonly bytesPerSecond?: number;
}

export interface HubProcess {
  readonly name: string;
  readonly directory: string;
  readonly journal: string;
  readonly process: RoleProcess;
  /** Set once it has enrolled. */
  machineId: string;
}

export interface ConnectorProcess {
  readonly name: string;
  readonly directory: string;
  readonly port: number;
  readonly process: RoleProcess;
  machineId: string;
}

/** Where a machine belongs, when not to the mesh's own customer and internet. */
export interface Place {
  readonly customerId?: string;
  /** Port of 127.0.0.1 at which it believes the cloud to be. */
  readonly cloudPort?: number;
}

export class LocalMesh implements Stoppable, AsyncDisposable {
  readonly #scope = new Scope();
  readonly hubs: HubProcess[] = [];
  customerId = '';
  /** The id of the connector's own hub. */
  companionId = '';
  connectorId = '';
  connectorPort = 0;
  cloudPort = 0;
  #client: MeshClient | undefined;

  private constructor(
    readonly options: MeshOptions,
    readonly clock: Clock,
    readonly internet: Internet,
    readonly cloud: RoleProcess,
    readonly connector: RoleProcess,
  ) {}

  /** A cloud that answers, and processes for the rest that are not started yet. */
  static async start(options: MeshOptions, clock: Clock): Promise<LocalMesh> {
    const { directory, env, heartbeat, ssdpPort } = options;
    await mkdir(join(directory, 'logs'), { recursive: true });
    const cloudPort = options.cloudPort ?? (await freePort());
    const connectorPort = await freePort();
    const internet = await Internet.start(() => cloudPort, options, clock);
    const role = (name: string, args: readonly string[]) =>
      new RoleProcess({ name, args, logFile: join(directory, 'logs', `${name}.log`), ...defined({ env }) }, clock);
    const cloud = role('cloud', [
      ...['cloud', '--data', join(directory, 'cloud'), '--listen', `127.0.0.1:${cloudPort}`],
      ...['--public', `127.0.0.1:${internet.port}`, '--name', '127.0.0.1', '--heartbeat', `${heartbeat}ms`],
      ...(options.cloudArgs ?? []),
    ]);
    const connector = role('connector', [
      ...['connector', '--data', join(directory, 'connector'), '--listen', `127.0.0.1:${connectorPort}`],
      ...['--interface', options.interface, '--ssdp-port', String(ssdpPort)],
      ...(options.connectorArgs ?? []),
    ]);
    const mesh = new LocalMesh(options, clock, internet, cloud, connector);
    mesh.connectorPort = connectorPort;
    mesh.cloudPort = cloudPort;
    mesh.#scope.own(internet);
    mesh.#scope.own(cloud);
    mesh.#scope.own(connector);
    try {
      await mesh.startCloud();
    } catch (thrown) {
      await mesh.stop();
      throw thrown;
    }
    return mesh;
  }

  /** A client that reaches the cloud past the internet of the story. */
  get client(): MeshClient {
    if (!this.#client) throw new Error('the cloud has not been started');
    return this.#client;
  }

  async startCloud(): Promise<void> {
    this.cloud.start();
    const client = join(this.options.directory, 'cloud', 'client.yaml');
    await this.cloud.untilLog(/cloud is up/, seconds(30));
    await until(
      async () => (await readFile(client).catch(() => '')).length > 0,
      seconds(5),
      this.clock,
      () => 'no client.yaml',
    );
    if (this.#client) return;
    this.#client = connect({
      cloud: `127.0.0.1:${this.cloudPort}`,
      ca: await readFile(join(this.options.directory, 'cloud', 'ca', 'ca.crt'), 'utf8'),
      // Read anew each time: a cloud that has lost it makes another one.
      token: () => readFileSync(join(this.options.directory, 'cloud', 'operator.token'), 'utf8'),
    });
    const made = this.#client;
    this.#scope.defer(() => made.close());
  }

  /** A new customer whose hubs may go direct. */
  async customer(name: string): Promise<string> {
    const { id } = await this.client.customers.createCustomer({ name });
    const fallbackAfterMs = Math.max(1_000, this.options.fallbackAfter);
    await this.client.customers.updateCustomer({ id, directAllowed: true, fallbackAfterMs });
    return id;
  }

  /** A token file for one machine; makes the mesh's own customer when it is the first. */
  async token(role: Role, name: string, place: Place = {}): Promise<string> {
    if (this.customerId === '') this.customerId = await this.customer('demo');
    const customerId = place.customerId ?? this.customerId;
    const made = await this.client.tokens.createEnrollmentToken({ customerId, role, name });
    const { cloudPort } = place;
    const text =
      cloudPort === undefined
        ? made.text
        : formatEnrollmentToken({ ...parseEnrollmentToken(made.text), cloud: `127.0.0.1:${cloudPort}` });
    const file = join(this.options.directory, `${name}.token`);
    await writeFile(file, `${text}\n`, { mode: 0o600 });
    return file;
  }

  /** A process of the mesh, not started yet; ended with the mesh. */
  process(name: string, args: readonly string[], more: Partial<ProcessOptions> = {}): RoleProcess {
    const logFile = join(this.options.directory, 'logs', `${name}.log`);
    return this.#scope.own(
      new RoleProcess({ ...defined({ env: this.options.env }), ...more, name, args, logFile }, this.clock),
    );
  }

  /** One more connector than the mesh begins with; resolves when it announces itself. */
  async addConnector(name: string, place: Place = {}): Promise<ConnectorProcess> {
    const { directory, ssdpPort } = this.options;
    const before = new Set((await this.machines()).map(({ id }) => id));
    const port = await freePort();
    const home = join(directory, name);
    const process = this.process(name, [
      ...['connector', '--data', home, '--listen', `127.0.0.1:${port}`],
      ...['--interface', this.options.interface, '--ssdp-port', String(ssdpPort)],
    ]);
    process.start(['--token-file', await this.token(Role.CONNECTOR, name, place)]);
    await process.untilLog(/trunk to the cloud is up/, seconds(30));
    const machine = (await this.machines()).find(({ id, role }) => role === Role.CONNECTOR && !before.has(id));
    if (!machine) throw new Error(`the cloud does not know ${name}`);
    return { name, directory: home, port, process, machineId: machine.id };
  }

  async startConnector(): Promise<void> {
    this.connector.start(['--token-file', await this.token(Role.CONNECTOR, 'connector')]);
    await until(
      async () => {
        const machines = await this.machines();
        const connector = machines.find(({ role }) => role === Role.CONNECTOR);
        this.connectorId = connector?.id ?? '';
        this.companionId = connector?.companionId ?? '';
        return this.connectorId !== '' && /trunk to the cloud is up/.test(await this.connector.log());
      },
      seconds(30),
      this.clock,
      async () => `the connector did not come up: ${(await this.connector.log()).slice(-2_000)}`,
    );
  }

  /** Starts a connector that is a member already, and waits until the cloud has its trunk. */
  async restartConnector(): Promise<void> {
    this.connector.start();
    await until(
      async () => (await this.machine(this.connectorId)).state === MachineState.ONLINE,
      seconds(30),
      this.clock,
      async () => `the connector did not come back: ${(await this.connector.log()).slice(-2_000)}`,
    );
  }

  /** Adds a hub and waits until the cloud knows it. */
  async addHub(
    name: string,
    args: readonly string[] = this.options.hubArgs ?? [],
    place: Place = {},
  ): Promise<HubProcess> {
    const { directory, ssdpPort, fallbackAfter } = this.options;
    const before = new Set((await this.machines()).map(({ id }) => id));
    const home = join(directory, name);
    const journal = join(directory, `${name}.journal`);
    const process = this.process(name, [
      ...['hub', '--data', home, '--journal', journal, '--interface', this.options.interface],
      ...['--ssdp-port', String(ssdpPort), '--fallback-after', `${fallbackAfter}ms`, ...args],
    ]);
    const hub: HubProcess = { name, directory: home, journal, process, machineId: '' };
    process.start(['--token-file', await this.token(Role.HUB, name, place)]);
    this.hubs.push(hub);
    await until(
      async () => {
        const machine = (await this.machines()).find(({ id, role }) => role === Role.HUB && !before.has(id));
        hub.machineId = machine?.id ?? '';
        return hub.machineId !== '';
      },
      seconds(30),
      this.clock,
      async () => `${name} did not enrol: ${(await process.log()).slice(-2_000)}`,
    );
    await this.client.machines.updateMachine({ id: hub.machineId, name });
    return hub;
  }

  /** Makes all sensors of a hub run this often. */
  async quicken(machineId: string, interval: Duration): Promise<void> {
    const { sensors } = await this.client.sensors.listSensors({ machineId, pageSize: 1_000 });
    for (const { id } of sensors) {
      await this.client.sensors.updateSensor({ id, intervalMs: interval, timeoutMs: interval - 100 });
    }
  }

  async machines(): Promise<Machine[]> {
    const { machines } = await this.client.machines.listMachines({ pageSize: 1_000 });
    return machines;
  }

  async machine(id: string): Promise<Machine> {
    const machine = (await this.machines()).find((candidate) => candidate.id === id);
    if (!machine) throw new Error(`no machine ${id}`);
    return machine;
  }

  stop(): Promise<void> {
    return this.#scope.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
