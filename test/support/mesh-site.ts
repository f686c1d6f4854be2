// What tests on real processes have in common: a mesh in a folder of its own that is gone afterwards, waiting for what
// processes do, reading their logs, and the verdict over what was delivered.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { MachineState, Path } from '../../src/client/index.js';
import { type HubProcess, LocalMesh, type MeshOptions } from '../../src/demo/mesh.js';
import { type RoleProcess, until } from '../../src/demo/processes.js';
import { judge, type Verdict } from '../../src/demo/verdict.js';
import { systemClock as clock } from '../../src/kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../../src/kernel/duration.js';

export { clock };

/** For what processes need a moment to do, on a machine that has much else to do. */
export const PATIENCE = seconds(40);

/** A cloud that answers, on loopback, with an SSDP port that nobody else uses. End it with endMesh(). */
export async function startMesh(options: Partial<MeshOptions> = {}): Promise<LocalMesh> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'mesh-test-')));
  const mesh = { hubs: 0, interface: 'lo', fallbackAfter: seconds(3), heartbeat: milliseconds(500), ...options };
  return LocalMesh.start({ ...mesh, directory, ssdpPort: options.ssdpPort ?? (await freeUdpPort()) }, clock);
}

/** Stops everything; the folder stays for whoever sets KEEP_MESH. */
export async function endMesh(mesh: LocalMesh | undefined): Promise<void> {
  if (!mesh) return;
  await mesh.stop();
  if (!process.env.KEEP_MESH) await rm(mesh.options.directory, { recursive: true, force: true });
}

/** A UDP port of loopback that was free a moment ago. */
export async function freeUdpPort(): Promise<number> {
  const probe = createSocket('udp4');
  probe.bind(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await new Promise<void>((resolve) => probe.close(resolve));
  return port;
}

export type PathName = 'connector' | 'direct' | 'offline';

/** How the cloud sees a hub; undefined while it has not made up its mind. */
export async function pathOf(mesh: LocalMesh, hub: HubProcess): Promise<PathName | undefined> {
  const { state, path } = await mesh.machine(hub.machineId);
  if (state === MachineState.LOST || state === MachineState.UNREACHABLE) return 'offline';
  if (state !== MachineState.ONLINE) return undefined;
  return path === Path.DIRECT ? 'direct' : 'connector';
}

export async function untilPath(
  mesh: LocalMesh,
  hub: HubProcess,
  wanted: PathName,
  within: Duration = PATIENCE,
): Promise<void> {
  await until(
    async () => (await pathOf(mesh, hub)) === wanted,
    within,
    clock,
    async () =>
      `${hub.name} is not on the path "${wanted}" but on "${await pathOf(mesh, hub)}":\n${(await hub.process.log()).slice(-3_000)}`,
  );
}

/** How many readings of a hub the cloud holds. */
export async function storedReadings(mesh: LocalMesh, machineId: string): Promise<number> {
  const { logs } = await mesh.client.readings.getLedger({ machineId });
  return logs.reduce((sum, { readingCount }) => sum + readingCount, 0);
}

/** Resolves when the cloud has got something of the hub that was taken after this call. */
export async function untilReports(mesh: LocalMesh, machineId: string, within: Duration = PATIENCE): Promise<void> {
  const since = clock.now();
  await until(
    async () => {
      const { readings } = await mesh.client.readings.getLatest({ machineId });
      return readings.some(({ takenAtMs }) => takenAtMs >= since);
    },
    within,
    clock,
    () => `nothing new has come from ${machineId}`,
  );
}

/**
 * What hubs have reported durable until now is in the cloud, once and unaltered, or comes there within `within`. The
 * hubs may go on meanwhile.
 */
export async function expectExactlyOnce(
  mesh: LocalMesh,
  hubs: readonly HubProcess[],
  within: Duration = PATIENCE,
): Promise<Verdict[]> {
  return Promise.all(
    hubs.map(async (hub) => {
      const record = `${hub.journal}.${clock.now()}`;
      await copyFile(hub.journal, record);
      const lines = (await readFile(record, 'latin1')).split('\n').length - 1;
      let verdict: Verdict | undefined;
      await until(
        async () => {
          // Judging reads everything; before the count is right there is nothing to judge.
          if ((await storedReadings(mesh, hub.machineId)) < lines) return false;
          verdict = await judge(mesh.client, hub.machineId, [record]);
          return verdict.lost === 0;
        },
        within,
        clock,
        () => `${hub.name}: of ${lines} readings not all are there, ${JSON.stringify(verdict)}`,
      );
      if (!verdict) throw new Error('unreachable');
      const { durable, lost, inGaps, duplicated, altered } = verdict;
      expect({ lost, inGaps, duplicated, altered }, hub.name).to.deep.equal(NOTHING_WRONG);
      expect(durable, `${hub.name} has reported something durable`).to.be.greaterThan(0);
      return verdict;
    }),
  );
}

const NOTHING_WRONG = { lost: 0, inGaps: 0, duplicated: 0, altered: 0 };

export interface LogLine {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly at: number;
  readonly level: string;
  readonly msg: string;
  /** The whole line, for what else it says. */
  readonly text: string;
}

/** What a process writes to its log from now on. */
export class LogMark {
  private constructor(
    private readonly process: RoleProcess,
    private readonly from: number,
  ) {}

  static async now(process: RoleProcess): Promise<LogMark> {
    return new LogMark(process, (await process.log()).length);
  }

  async text(): Promise<string> {
    return (await this.process.log()).slice(this.from);
  }

  async lines(): Promise<LogLine[]> {
    return (await this.text()).split('\n').flatMap((text) => {
      try {
        const { time, level, msg } = JSON.parse(text) as { time: string; level: string; msg: string };
        return [{ at: Date.parse(time), level, msg, text }];
      } catch {
        return [];
      }
    });
  }

  /** The first line that matches, as soon as there is one. */
  async until(pattern: RegExp, within: Duration = PATIENCE): Promise<LogLine> {
    let found: LogLine | undefined;
    await until(
      async () => {
        found = (await this.lines()).find(({ text }) => pattern.test(text));
        if (!found && !this.process.running) throw new Error(`${this.process.options.name} has ended`);
        return found !== undefined;
      },
      within,
      clock,
      async () => `${this.process.options.name} never said ${pattern}:\n${(await this.text()).slice(-3_000)}`,
    );
    if (!found) throw new Error('unreachable');
    return found;
  }
}
