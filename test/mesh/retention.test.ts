// Readings that get too old: what the cloud answers before, in the middle and after is compared with what the hubs
// themselves recorded as durable. Each is there as it was measured or in a sum, once, and no hub sends it again.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { every } from '../../src/client/index.js';
import { newDay, packSummaries, WINDOW, windowsOf } from '../../src/cloud/telemetry/summaries/block.js';
import { type StoredDay, storedDays, sumsOf } from '../../src/cloud/telemetry/summaries/stored.js';
import type { HubProcess } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import type { Verdict } from '../../src/demo/verdict.js';
import { uuidBytes } from '../../src/identity/uuid.js';
import { systemClock } from '../../src/kernel/clock.js';
import { days, hours, seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { LevelStore } from '../../src/storage/level.js';
import { differences, readingsIn, recordedSums, type Span, toldSums } from '../support/judge-sums.js';
import { flaws, PERFECT, RoughMesh } from '../support/rough-mesh.js';

/** The shortest that readings can be kept. */
const KEPT = days(7);
const AGE = days(8);
const HUBS = 2;
/** So many old readings of each hub, at least. */
const ENOUGH = 80;

describe('readings that get too old', function () {
  this.timeout(90_000);
  let rough: RoughMesh;
  let old: Span;

  before(async () => {
    rough = await RoughMesh.start({ hubs: HUBS, sensors: 20, cloudArgs: ['--retention-every', '200ms'] });
    await measureInThePast();
  });
  after(async () => {
    await rough?.[Symbol.asyncDispose]();
  });

  /** Every hub measures eight days ago for a while, and then now again. */
  async function measureInThePast(): Promise<void> {
    const offset = join(rough.directory, 'clock-offset');
    await writeFile(offset, String(-AGE));
    const from = Math.floor((systemClock.now() - AGE) / WINDOW) * WINDOW;
    old = { from, until: from + hours(1), width: WINDOW };
    const present = [...rough.hubs];
    const past = present.map((hub) => {
      const { name, args } = hub.process.options;
      return { ...hub, process: rough.mesh.process(name, args, { env: { OCC_TEST_CLOCK_OFFSET: offset } }) };
    });
    await Promise.all(present.map(({ process }) => process.kill()));
    for (const { process } of past) process.start();
    await until(
      async () => (await Promise.all(past.map(recorded))).every((sums) => readingsIn(sums) >= ENOUGH),
      seconds(20),
      systemClock,
      () => rough.tails(),
    );
    // In the middle of what it does: what it has not delivered is delivered by the next one, which knows the time.
    await Promise.all(past.map(({ process }) => process.kill()));
    for (const { process } of present) process.start();
  }

  const recorded = ({ machineId }: HubProcess) => recordedSums(rough.journals.get(machineId) ?? [], old);
  const told = ({ machineId }: HubProcess) => toldSums(rough.mesh.client, machineId, old);

  /** How many old readings the hubs have recorded, when the cloud's sums are those of these. */
  async function expectSums(): Promise<number> {
    let readings = 0;
    for (const hub of rough.hubs) {
      const sums = await recorded(hub);
      expect(differences(sums, await told(hub)), hub.name).to.deep.equal([]);
      readings += readingsIn(sums);
    }
    return readings;
  }

  /** The verdict, of which nothing is wrong and in which every durable reading is accounted for. */
  async function expectNothingWrong(): Promise<Verdict> {
    const verdict = await rough.settled(seconds(20));
    expect(flaws(verdict)).to.deep.equal(PERFECT);
    // Hubs go on while they are judged: more may be stored than was recorded when it began.
    expect(verdict.stored + verdict.expired).to.be.at.least(verdict.durable);
    return verdict;
  }

  /** Flushes of which the cloud says that they have expired. */
  async function expiredFlushes(): Promise<number> {
    let flushes = 0;
    for (const { machineId } of rough.hubs) {
      for await (const { expired } of every(rough.mesh.client.readings.getLedger, 'logs', { machineId })) {
        flushes += expired.reduce((sum, { count }) => sum + count, 0);
      }
    }
    return flushes;
  }

  const restartCloud = async (...args: string[]) => {
    await rough.mesh.cloud.kill();
    expect(await rough.startCloud(args)).to.equal(true);
  };

  it('become sums with each of them once, whatever ends the cloud meanwhile, and no hub sends them again', async () => {
    const { client, customerId } = rough.mesh;
    expect((await expectNothingWrong()).expired, 'before').to.equal(0);
    const readings = await expectSums();
    expect(readings).to.be.at.least(HUBS * ENOUGH);

    await client.customers.updateCustomer({ id: customerId, rawRetentionMs: KEPT });
    while ((await expiredFlushes()) === 0);
    await restartCloud('--retention-every', '1h');
    const { expired } = await expectNothingWrong();
    expect(expired, 'in the middle').to.be.within(1, readings - 1);
    expect(await expectSums()).to.equal(readings);

    await restartCloud();
    await until(
      async () => (await rough.verdict()).expired >= readings,
      seconds(15),
      systemClock,
      () => rough.tails(),
    );
    for (const { process } of rough.hubs) await process.kill();
    await Promise.all(rough.hubs.map((hub) => rough.startHub(hub)));
    await rough.untilDelivered(seconds(15));
    expect((await expectNothingWrong()).expired, 'after').to.equal(readings);
    expect(await expectSums()).to.equal(readings);
  });

  it('would be missed if they were in a sum twice, or in none (negative control)', async () => {
    const [hub] = rough.hubs;
    if (!hub) throw new Error('no hub');
    await rough.mesh.cloud.stop();
    const [twice, gone] = await tamper(hub);
    expect(await rough.startCloud()).to.equal(true);
    const found = differences(await recorded(hub), await told(hub));
    const of = (sensor: number) => found.filter((line) => line.includes(` ${sensor} in `));
    expect(of(twice)).to.not.deep.equal([]);
    expect(of(gone)).to.not.deep.equal([]);
    expect(found).to.have.length(of(twice).length + of(gone).length);
    rough.passed();
  });

  /** Of two sensors: adds the sums of one to themselves, and takes those of the other away. */
  async function tamper({ machineId }: HubProcess): Promise<[twice: number, gone: number]> {
    const directory = join(rough.directory, 'cloud', 'store');
    const store = await LevelStore.open({ directory }, { log: silentLogger });
    try {
      const key = { customer: uuidBytes(rough.mesh.customerId), machine: uuidBytes(machineId) };
      const stored: StoredDay[] = [];
      for await (const day of storedDays(store, key, { sensor: 0, ...old })) stored.push(day);
      const [twice, gone] = [stored.at(0), stored.at(-1)];
      if (!twice || !gone) throw new Error('no sums');
      const doubled = newDay(twice.day);
      for (let n = 0; n < 2; n++) doubled.merge(sumsOf(twice), windowsOf(twice.day));
      const puts = doubled.sensors.map((sums) => ({ put: twice.key, value: packSummaries(sums, twice.day) }));
      await store.commit(() => [...puts, { del: gone.key }]);
      return [twice.sensor, gone.sensor];
    } finally {
      await store.stop();
    }
  }
});
