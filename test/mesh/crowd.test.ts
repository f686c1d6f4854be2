// A hundred hubs on one connector, and two of them stop taking part: one is frozen, one sends and does not read. The
// others' readings must not wait for them. Connector, cloud and the frozen hub are real processes; the crowd lives in the
// test and speaks the real protocol over real TLS.
import { expect } from 'chai';
import { MachineState, Role } from '../../src/client/index.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { sleep } from '../../src/kernel/clock.js';
import { milliseconds, minutes, seconds } from '../../src/kernel/duration.js';
import { StreamPipe } from '../../src/link/stream-pipe.js';
import type { CarrierAddress } from '../../src/membership/carrier.js';
import { enrolWith, LightHub, linkStream } from '../support/actors.js';
import {
  clock,
  endMesh,
  expectExactlyOnce,
  LogMark,
  PATIENCE,
  startMesh,
  untilPath,
  untilReports,
} from '../support/mesh-site.js';

const HUBS = 100;
const REPORT_EVERY = milliseconds(500);
const MEASURE = milliseconds(2_500);
/** How much slower than before it may be for most, and for the slowest of a hundred: disks have their moments. */
const NOISE = { median: milliseconds(250), p99: seconds(1) };
const FLUSHES = 4_096;
/** More than windows and buffers on the way take. */
const UNREAD_ANSWERS = 120;

describe('a crowd on one connector', () => {
  let mesh: LocalMesh;
  let connector: CarrierAddress;
  let frozen: HubProcess;
  let mute: LightHub;
  const crowd: LightHub[] = [];
  /** Milliseconds from taking to acknowledgement, in the order of their ends. */
  let delays: number[] = [];
  let over = false;
  let reporting: Promise<unknown> = Promise.resolve();

  before(async () => {
    // A hub that does not read gives up on its own after three of its heartbeats; the connector has to be quicker.
    mesh = await startMesh({ fallbackAfter: minutes(10), heartbeat: seconds(2) });
    await mesh.startConnector();
    connector = { address: `127.0.0.1:${mesh.connectorPort}`, role: 'connector' };
    frozen = await mesh.addHub('frozen', ['--no-multicast', '--connector', connector.address]);
    await mesh.quicken(frozen.machineId, seconds(1));
    const { customerId } = mesh;
    const { text } = await mesh.client.tokens.createEnrollmentToken({ customerId, role: Role.HUB, uses: HUBS + 1 });
    const members = await Promise.all(Array.from({ length: HUBS + 1 }, () => enrolWith(mesh, text)));
    for (const { hub } of members) crowd.push(new LightHub(hub));
    mute = crowd.pop() as LightHub;
    for (const hub of crowd) expect(await hub.connect(connector)).to.equal(undefined);
    await untilPath(mesh, frozen, 'connector');
    reporting = Promise.all(crowd.map((hub, n) => report(hub, n)));
  });
  after(async () => {
    over = true;
    await Promise.all([...crowd, mute].map((hub) => hub?.close()));
    await reporting;
    await endMesh(mesh);
  });

  /** One reading after another, spread over time. */
  const report = async (hub: LightHub, n: number) => {
    await sleep(clock, milliseconds((REPORT_EVERY * n) / HUBS));
    while (!over) {
      const taken = clock.monotonic();
      await Promise.race([hub.report(taken), hub.session?.ended]);
      delays.push(clock.monotonic() - taken);
      await sleep(clock, REPORT_EVERY);
    }
  };

  const measure = async (): Promise<{ readonly median: number; readonly p99: number }> => {
    delays = [];
    await sleep(clock, MEASURE);
    const sorted = delays.toSorted((a, b) => a - b);
    expect(sorted.length, 'readings acknowledged meanwhile').to.be.greaterThan(HUBS);
    const at = (part: number) => Math.round(sorted[Math.floor(sorted.length * part)] ?? Number.POSITIVE_INFINITY);
    return { median: at(0.5), p99: at(0.99) };
  };

  const expectNoDelay = (before: Awaited<ReturnType<typeof measure>>, during: typeof before) => {
    process.stderr.write(`    ms, before ${JSON.stringify(before)}, during ${JSON.stringify(during)}\n`);
    expect(during.median).to.be.lessThan(before.median * 2 + NOISE.median);
    expect(during.p99).to.be.lessThan(before.p99 + NOISE.p99);
  };

  it('is carried, each hub on its own channel', async () => {
    expect((await mesh.machine(mesh.connectorId)).hubCount).to.be.at.least(HUBS);
    await measure();
  });

  it('is not delayed by a hub that is frozen, which is lost soon and comes back whole', async () => {
    const before = await measure();
    frozen.process.freeze();
    const during = await measure();
    expectNoDelay(before, during);
    await until(
      async () => (await mesh.machine(frozen.machineId)).state === MachineState.LOST,
      PATIENCE,
      clock,
      () => 'a frozen hub is not missed',
    );
    frozen.process.thaw();
    await untilPath(mesh, frozen, 'connector');
    await untilReports(mesh, frozen.machineId);
    await expectExactlyOnce(mesh, [frozen]);
  });

  it('is not delayed by a hub that sends and does not read: its session is closed', async () => {
    const stream = linkStream(mute.member, connector);
    expect(await mute.connectOver(new StreamPipe(stream))).to.equal(undefined);
    await mute.reportAll(Array.from({ length: FLUSHES }, (_, n) => n));
    const before = await measure();
    const mark = await LogMark.now(mesh.connector);
    stream.pause();
    const measuring = measure();
    // It may fail while questions are still being sent.
    measuring.catch(() => undefined);
    for (let n = 0; n < UNREAD_ANSWERS; n++) {
      const value = { log: mute.log, range: { first: 0, count: FLUSHES } };
      mute.session?.send({ $case: 'digestRequest', value });
      await sleep(clock, milliseconds(MEASURE / UNREAD_ANSWERS));
    }
    const during = await measuring;
    expect((await mark.until(/hub does not read/)).text).to.include(mute.id);
    expectNoDelay(before, during);
    for (const hub of crowd) expect(hub.session?.state).to.equal('up');
  });
});
