// Wall clocks that are wrong or jump: a machine that wakes up in 1970 is a member like any other, and what counts as the
// latest reading follows the log, not the clock.
//
// Found so far (mended):
//   - A connector that woke up in 1970 refused every hub: their certificates were not valid yet. Third test.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { MachineState, Role } from '../../src/client/index.js';
import type { HubProcess } from '../../src/demo/mesh.js';
import { type RoleProcess, until } from '../../src/demo/processes.js';
import { systemClock } from '../../src/kernel/clock.js';
import { hours, milliseconds, seconds } from '../../src/kernel/duration.js';
import { flaws, PERFECT, RoughMesh } from '../support/rough-mesh.js';

const HOUR = hours(1);
/** A minute after the beginning of Unix time, by the clock of this machine. */
const SINCE_1970 = (): number => 60_000 - systemClock.now();

describe('a wrong clock', function () {
  this.timeout(120_000);
  let rough: RoughMesh;
  let offset: string;

  before(async () => {
    rough = await RoughMesh.start({ hubs: 1, sensors: 10 });
    offset = join(rough.directory, 'clock-offset');
  });
  after(async () => {
    await rough?.[Symbol.asyncDispose]();
  });

  const setClock = (by: number) => writeFile(offset, String(by));
  const wrong = (name: string, { options }: RoleProcess): RoleProcess =>
    rough.mesh.process(name, options.args, { env: { OCC_TEST_CLOCK_OFFSET: offset } });
  const hub = (): HubProcess => {
    const [first] = rough.hubs;
    if (!first) throw new Error('no hub');
    return first;
  };

  /** Until the latest readings of every sensor of the hub were taken at about `at`, by the clock of the hub. */
  async function untilLatest(machineId: string, at: () => number): Promise<void> {
    const latest = async () => (await rough.mesh.client.readings.getLatest({ machineId })).readings;
    await until(
      async () => {
        const readings = await latest();
        return readings.length > 10 && readings.every(({ takenAtMs }) => Math.abs(takenAtMs - at()) < 20_000);
      },
      seconds(20),
      systemClock,
      async () => `latest: ${(await latest()).map(({ takenAtMs }) => takenAtMs - at())}: ${await rough.tails()}`,
    );
  }

  it('an hour back while it runs: nothing is lost, and the latest reading is the one taken last', async () => {
    await setClock(0);
    await hub().process.stop();
    rough.replace(hub(), wrong('hub-1', hub().process));
    hub().process.start();
    await untilLatest(hub().machineId, () => systemClock.now());
    await setClock(-HOUR);
    await untilLatest(hub().machineId, () => systemClock.now() - HOUR);
    // Another start is another log, born in the hour that has been before.
    await hub().process.kill();
    hub().process.start();
    await rough.pause(seconds(3));
    await untilLatest(hub().machineId, () => systemClock.now() - HOUR);
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
  });

  it('1970 at a hub: it connects and delivers, and goes on when the clock has been set', async () => {
    await setClock(SINCE_1970());
    const began = systemClock.now();
    await hub().process.kill();
    hub().process.start();
    await untilLatest(hub().machineId, () => 60_000 + systemClock.now() - began);
    expect((await rough.mesh.machine(hub().machineId)).clockOffsetMs).to.be.lessThan(-50 * 365 * 86_400_000);
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
    await setClock(0);
    await untilLatest(hub().machineId, () => systemClock.now());
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
  });

  it('1970 at the first start of a hub, and at its connector: it enrols, connects and delivers', async () => {
    const { mesh } = rough;
    await setClock(SINCE_1970());
    await mesh.connector.stop();
    const connector = wrong('connector', mesh.connector);
    connector.start();
    await until(
      async () => (await mesh.machine(mesh.connectorId)).state === MachineState.ONLINE,
      seconds(20),
      systemClock,
      () => rough.tails(),
    );
    const journal = join(rough.directory, 'newborn.journal');
    const newborn = mesh.process(
      'newborn',
      [
        ...['hub', '--data', join(rough.directory, 'newborn'), '--journal', journal, '--interface', 'lo'],
        ...['--ssdp-port', String(mesh.options.ssdpPort), '--no-direct'],
      ],
      { env: { OCC_TEST_CLOCK_OFFSET: offset } },
    );
    const before = new Set((await mesh.machines()).map(({ id }) => id));
    newborn.start(['--token-file', await mesh.token(Role.HUB, 'newborn')]);
    let machineId = '';
    await until(
      async () => {
        const machine = (await mesh.machines()).find(({ id }) => !before.has(id));
        machineId = machine?.id ?? '';
        return machine?.state === MachineState.ONLINE;
      },
      seconds(30),
      systemClock,
      async () => `${await newborn.log()}${await rough.tails()}`,
    );
    rough.judged(machineId, journal);
    await mesh.quicken(machineId, seconds(1));
    await rough.pause(milliseconds(4_000));
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
    expect((await mesh.client.readings.getLatest({ machineId })).readings).to.not.deep.equal([]);
    rough.passed();
  });
});
