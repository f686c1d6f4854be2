// What waited while every path was down: delivered with its own timestamps, behind what is measured now, and also when
// the delivery is interrupted again and again. Real processes, a narrow internet.
import { expect } from 'chai';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { type EpochMs, epochMs, hours, minutes, seconds } from '../../src/kernel/duration.js';
import { FED_SENSOR, feed } from '../support/feeder.js';
import { clock, endMesh, expectExactlyOnce, startMesh, storedReadings, untilPath } from '../support/mesh-site.js';
import { seededRandom, testSeed } from '../support/seeded-random.js';

const BYTES_PER_SECOND = 250_000;
/** Of about 24 bytes each. */
const MANY = 120_000;
const SOME = 60_000;
/** From the moment a path is up. Without a backlog it is the linger of two seconds and little more. */
const LIVE_WITHIN = seconds(5);

describe('a backlog', () => {
  let mesh: LocalMesh;
  let hub: HubProcess;
  const random = seededRandom(testSeed);

  before(async () => {
    process.stderr.write(`  seed ${testSeed}\n`);
    mesh = await startMesh({ fallbackAfter: minutes(10), bytesPerSecond: BYTES_PER_SECOND });
    await mesh.startConnector();
    hub = await mesh.addHub('hub', ['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`]);
    await mesh.quicken(hub.machineId, seconds(1));
    await untilPath(mesh, hub, 'connector');
  });
  after(() => endMesh(mesh));

  /** A hub with so much more in its log, and no internet; resolves when it has measured something, too. */
  const hubWithBacklog = async (count: number, from: EpochMs) => {
    await hub.process.stop();
    // Its waits between tries begin anew, too.
    await mesh.connector.stop();
    mesh.internet.cut();
    await feed(hub, { readings: count, random, from });
    hub.process.start();
    await hub.process.untilLog(/hub is running/, seconds(20));
    mesh.connector.start();
    await mesh.connector.untilLog(/connector is listening/, seconds(20));
  };

  const fedReadings = async (count: number, from: number): Promise<number[]> => {
    const times: number[] = [];
    const query = { machineId: hub.machineId, sensor: FED_SENSOR, fromMs: from, untilMs: from + count * seconds(1) };
    for await (const { readings } of mesh.client.readings.queryReadings(query)) {
      for (const { takenAtMs } of readings) times.push(takenAtMs);
    }
    return times.sort((a, b) => a - b);
  };

  it('is delivered behind what is measured now, with its own timestamps', async () => {
    const from = epochMs(clock.now() - hours(72));
    await hubWithBacklog(MANY, from);
    const before = await storedReadings(mesh, hub.machineId);
    mesh.internet.mend();
    await untilPath(mesh, hub, 'connector');
    const up = clock.now();
    // The newest of each of the hub's own sensors, for as long as the backlog lasts.
    const ages: number[] = [];
    await until(
      async () => {
        const { readings } = await mesh.client.readings.getLatest({ machineId: hub.machineId });
        const own = readings.filter(({ sensor }) => sensor !== FED_SENSOR);
        const now = clock.now();
        if (now > up + LIVE_WITHIN) ages.push(now - Math.max(...own.map(({ takenAtMs }) => takenAtMs)));
        return (await storedReadings(mesh, hub.machineId)) >= before + MANY;
      },
      minutes(1),
      clock,
      () => 'the backlog is not delivered',
    );
    expect(ages.length, 'looks at live readings while there was a backlog').to.be.greaterThan(5);
    expect(Math.max(...ages), 'age of the newest live reading').to.be.lessThan(LIVE_WITHIN);
    const times = await fedReadings(MANY, from);
    expect(times.length).to.equal(MANY);
    expect(times.every((time, i) => time === from + i * seconds(1))).to.equal(true);
    await expectExactlyOnce(mesh, [hub]);
  });

  it('is delivered once, however often the delivery is interrupted', async () => {
    const from = epochMs(clock.now() - hours(144));
    await hubWithBacklog(SOME, from);
    const before = await storedReadings(mesh, hub.machineId);
    for (const part of [0.2, 0.5, 0.8]) {
      mesh.internet.mend();
      await until(
        async () => (await storedReadings(mesh, hub.machineId)) >= before + SOME * part,
        minutes(1),
        clock,
        () => `the delivery does not get to ${part}`,
      );
      mesh.internet.cut();
      expect(await storedReadings(mesh, hub.machineId), `in the middle, at ${part}`).to.be.lessThan(before + SOME);
    }
    mesh.internet.mend();
    await expectExactlyOnce(mesh, [hub], minutes(1));
    expect((await fedReadings(SOME, from)).length).to.equal(SOME);
  });
});
