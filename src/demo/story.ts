// The story that the demo tells: the regular path, the connector killed, the internet cut, everything back. Each chapter
// waits for what it announces, and lasts at least its share of the time.
import {
  type Alarm,
  AlarmCause,
  every,
  MachineState,
  Path,
  type Reading,
  type Sensor,
  SensorState,
} from '../client/index.js';
import { type Clock, sleep } from '../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';
import type { GuardedPage } from './guarded-page.js';
import type { LocalMesh } from './mesh.js';
import { until } from './processes.js';
import { judge, sum } from './verdict.js';
import type { View } from './view.js';

export interface Summary {
  readonly hubs: number;
  readonly readings_durable: number;
  readonly readings_stored: number;
  readonly lost: number;
  readonly in_gaps: number;
  readonly duplicated: number;
  readonly altered: number;
  /** Raised for the connector that was killed with the hubs behind it. */
  readonly alarms_for_connector: number;
  /** Of the sensor that needs a password. */
  readonly guarded_page: string;
  /** In order, as the cloud saw the first hub. */
  readonly paths_seen: readonly string[];
  readonly seconds: number;
}

const INTERVAL = seconds(1);
const PATIENCE = seconds(45);

type PathName = 'connector' | 'direct' | 'offline';

export class Story {
  readonly #quit = new AbortController();
  readonly #signal: AbortSignal;
  readonly #paths: PathName[] = [];
  #title = 'starting';
  #alarmsForConnector = 0;
  #guardedSensor = '';

  constructor(
    private readonly mesh: LocalMesh,
    private readonly view: View,
    private readonly page: GuardedPage,
    private readonly clock: Clock,
    signal: AbortSignal,
  ) {
    this.#signal = AbortSignal.any([signal, this.#quit.signal]);
  }

  /** Draws what the cloud knows, every second, until the end. */
  async watch(): Promise<void> {
    const { client } = this.mesh;
    const sensors = new Map<string, string>();
    while (!this.#signal.aborted) {
      try {
        const [machines, { readings }] = await Promise.all([this.mesh.machines(), client.readings.getLatest({})]);
        if (readings.some((reading) => !sensors.has(nameOf(reading)))) {
          for await (const sensor of every(client.sensors.listSensors, 'sensors', {}))
            sensors.set(sensor.id, sensor.name);
        }
        let stored = 0;
        for (const { machineId } of this.mesh.hubs) {
          if (machineId === '') continue;
          const { logs } = await client.readings.getLedger({ machineId });
          for (const log of logs) stored += log.readingCount;
        }
        this.view.draw({ title: this.#title, machines, readings, sensors, stored });
      } catch {
        // The cloud is busy starting or ending; the next second tells.
      }
      await sleep(this.clock, seconds(1), this.#signal).catch(() => undefined);
    }
  }

  end(): void {
    this.#quit.abort();
  }

  async tell(hubs: number, total: Duration): Promise<Summary> {
    const began = this.clock.monotonic();
    const { mesh } = this;
    const share = (part: number) => milliseconds(Math.max(0, total - seconds(20)) * part);

    await this.#chapter('the regular path', share(0.25), async () => {
      this.view.tell('a connector enrols with its token and announces itself by SSDP');
      await mesh.startConnector();
      for (let n = 1; n <= hubs; n++) {
        const { machineId } = await mesh.addHub(`hub-${n}`);
        this.view.tell(`hub-${n} has found the connector and enrolled through it`);
        await mesh.quicken(machineId, INTERVAL);
      }
      await this.#allOn('connector');
      this.view.tell('readings of this machine travel hub → connector → cloud');
      await this.#watchGuardedPage();
    });

    await this.#chapter('connector killed', share(0.25), async () => {
      await mesh.connector.kill();
      this.view.tell('the connector is dead (kill -9)');
      await this.#allOn('direct');
      this.view.tell('the hubs have gone direct to the cloud, and stay there');
      const raised = await this.#alarms();
      this.#alarmsForConnector = raised.length;
      this.view.tell(
        `there is ${raised.length} alarm: ${raised.map(({ message }) => message).join(', ')} of the connector`,
      );
    });

    await this.#chapter('internet cut', share(0.25), async () => {
      mesh.internet.cut();
      this.view.tell('now the internet is gone too; readings go to the hubs’ logs');
      await this.#allOn('offline');
    });

    await this.#chapter('everything back', share(0.25), async () => {
      mesh.internet.mend();
      await Promise.all(mesh.hubs.map(({ process }) => process.stop()));
      await mesh.restartConnector();
      for (const { process } of mesh.hubs) process.start();
      this.view.tell('internet and connector are back, the hubs’ services have restarted');
      await this.#allOn('connector');
      this.view.tell('regular path again');
      await this.#drained();
      this.view.tell('the backlog has been delivered, with its original timestamps');
    });

    this.#title = 'the verdict';
    const guarded = SensorState[(await this.#guarded()).state];
    await Promise.all(mesh.hubs.map(({ process }) => process.stop()));
    await this.#drained();
    const verdicts = await Promise.all(
      mesh.hubs.map(({ machineId, journal }) => judge(mesh.client, machineId, [journal])),
    );
    const { durable, stored, lost, inGaps, duplicated, altered } = sum(verdicts);
    return {
      hubs: mesh.hubs.length,
      readings_durable: durable,
      readings_stored: stored,
      lost,
      in_gaps: inGaps,
      duplicated,
      altered,
      alarms_for_connector: this.#alarmsForConnector,
      guarded_page: guarded,
      paths_seen: this.#paths,
      seconds: Math.round((this.clock.monotonic() - began) / 1_000),
    };
  }

  /** After the verdict the mesh lives on, for whoever watches. */
  async goOn(): Promise<void> {
    for (const { process } of this.mesh.hubs) process.start();
    this.#title = 'living on';
  }

  async #chapter(title: string, atLeast: Duration, happens: () => Promise<void>): Promise<void> {
    this.#signal.throwIfAborted();
    this.#title = title;
    const began = this.clock.monotonic();
    await happens();
    const left = atLeast - (this.clock.monotonic() - began);
    if (left > 0) await sleep(this.clock, milliseconds(left), this.#signal);
  }

  async #allOn(path: PathName): Promise<void> {
    const ids = this.mesh.hubs.map(({ machineId }) => machineId);
    await until(
      async () => {
        this.#signal.throwIfAborted();
        const machines = await this.mesh.machines();
        return machines.filter(({ id }) => ids.includes(id)).every((machine) => pathName(machine) === path);
      },
      PATIENCE,
      this.clock,
      () => `the hubs did not get to "${path}"`,
    );
    this.#paths.push(path);
  }

  /** A sensor of the first hub that needs a password, which is sealed here and opens there only. */
  async #watchGuardedPage(): Promise<void> {
    const { sensors, setSecret } = this.mesh.client;
    const { url, user, password } = this.page;
    const [hub] = this.mesh.hubs;
    const times = { intervalMs: INTERVAL, timeoutMs: INTERVAL * 0.8 };
    const settings = { url, auth: 'basic', user };
    const { id } = await sensors.createSensor({
      machineId: hub?.machineId,
      name: 'members',
      kind: 'http',
      settings,
      ...times,
    });
    this.#guardedSensor = id;
    await setSecret({ sensorId: id, field: 'password', plaintext: Buffer.from(password) });
    const isWell = async () => (await this.#guarded()).state === SensorState.OK;
    await until(isWell, PATIENCE, this.clock, () => 'the page behind the password is not seen');
    this.view.tell('a page behind a password is seen; the cloud holds the password sealed, and cannot read it');
  }

  async #guarded(): Promise<Sensor> {
    const { sensors } = await this.mesh.client.sensors.listSensors({ machineId: this.mesh.hubs[0]?.machineId });
    const found = sensors.find(({ id }) => id === this.#guardedSensor);
    if (!found) throw new Error('the sensor with the password is gone');
    return found;
  }

  /** That a machine is lost, as soon as there is one; a busy computer has others besides. */
  async #alarms(): Promise<Alarm[]> {
    let open: Alarm[] = [];
    const look = async () => {
      open = (await this.mesh.client.alarms.listAlarms({ causes: [AlarmCause.LOST] })).alarms;
      return open.length > 0;
    };
    await until(look, PATIENCE, this.clock, () => 'nobody is alarmed');
    return open;
  }

  /** Until the cloud holds everything that the hubs announced. */
  async #drained(): Promise<void> {
    await until(
      async () => {
        this.#signal.throwIfAborted();
        const machines = await this.mesh.machines();
        const ids = this.mesh.hubs.map(({ machineId }) => machineId);
        const waiting = machines.filter(({ id }) => ids.includes(id)).map(({ queuedReadings }) => queuedReadings);
        const ledgers = await Promise.all(ids.map((machineId) => this.mesh.client.readings.getLedger({ machineId })));
        const complete = ledgers.every(({ logs }) =>
          logs.every(({ held, announcedNext }) => held.length === 1 && (held[0]?.count ?? 0) >= announcedNext),
        );
        return complete && waiting.every((queued) => queued < 50);
      },
      PATIENCE,
      this.clock,
      () => 'the backlog was not delivered in time',
    );
  }
}

function pathName(machine: { state: MachineState; path: Path }): PathName | undefined {
  if (machine.state === MachineState.LOST || machine.state === MachineState.UNREACHABLE) return 'offline';
  if (machine.state !== MachineState.ONLINE) return undefined;
  return machine.path === Path.DIRECT ? 'direct' : machine.path === Path.CONNECTOR ? 'connector' : undefined;
}

const nameOf = (reading: Reading): string => `${reading.machineId}/${reading.sensor}`;
