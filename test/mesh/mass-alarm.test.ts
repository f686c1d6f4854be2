// Five hundred hubs behind one connector: a cloud that starts again under them is no alarm, and their connector's death is
// one. The cloud is a real process; connector and hubs are one process of the benchmark, the real trunk with the hubs on
// its channels.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Alarm, AlarmCause, MachineState, Role } from '../../src/client/index.js';
import { freePort } from '../../src/demo/free-port.js';
import type { LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { sleep } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { systemRandom } from '../../src/kernel/random.js';
import { Program } from '../bench/program.js';
import type { SwarmAbilities } from '../bench/programs/swarm.js';
import { provision } from '../bench/provision.js';
import { clock, endMesh, PATIENCE, startMesh } from '../support/mesh-site.js';

const HUBS = 500;

describe(`${HUBS} hubs behind one connector`, () => {
  let mesh: LocalMesh;
  let swarm: Program<SwarmAbilities> | undefined;

  before(async () => {
    const [directory, cloudPort] = [await mkdtemp(join(tmpdir(), 'mesh-test-')), await freePort()];
    // Enrolling them one by one would take minutes: the cloud takes its time with strangers.
    const customers = [{ connectors: 1, hubs: HUBS }];
    const plan = { mesh: 'mesh', cloudAddress: `127.0.0.1:${cloudPort}`, customers };
    const [customer] = (await provision(directory, plan, { clock, random: systemRandom, log: silentLogger })).customers;
    mesh = await startMesh({ directory, cloudPort, heartbeat: seconds(1) });
    swarm = new Program<SwarmAbilities>({ name: 'swarm', logFile: join(directory, 'swarm.log') }, clock);
    const connector = join(customer?.connectors[0] ?? '', 'connector');
    await swarm.ask('open', [{ connector, hubs: (customer?.hubs ?? []).map((hub) => hub.directory) }]);
    await swarm.ask('dial', undefined);
    await swarm.ask('connect', seconds(3));
    await untilAll(MachineState.ONLINE, HUBS + 1);
  });
  after(async () => {
    await swarm?.stop();
    await endMesh(mesh);
  });

  const inState = async (state: MachineState) => (await mesh.machines()).filter((machine) => machine.state === state);
  const untilAll = (state: MachineState, wanted: number) =>
    until(
      async () => (await inState(state)).length === wanted,
      PATIENCE,
      clock,
      async () => `${(await inState(state)).length} are ${MachineState[state]}`,
    );
  const alarms = async (): Promise<Alarm[]> => (await mesh.client.alarms.listAlarms({ includeClosed: true })).alarms;

  it('are no alarm when the cloud is killed and comes back', async () => {
    await mesh.cloud.kill();
    await mesh.startCloud();
    const answers = () =>
      alarms().then(
        () => true,
        () => false,
      );
    await until(answers, PATIENCE, clock, () => 'the cloud does not answer');
    await untilAll(MachineState.ONLINE, HUBS + 1);
    // Longer than the grace after a start: whoever was given up would be by now.
    await sleep(clock, seconds(28));
    expect(await alarms()).to.deep.equal([]);
    await untilAll(MachineState.ONLINE, HUBS + 1);
  });

  it('are one alarm when the connector is killed', async () => {
    const connector = (await mesh.machines()).find(({ role }) => role === Role.CONNECTOR);
    process.kill(swarm?.pid ?? 0, 'SIGKILL');
    await untilAll(MachineState.UNREACHABLE, HUBS);
    // Longer than any machine's patience.
    await sleep(clock, seconds(10));
    const raised = await alarms();
    expect(raised.map(({ machineId, cause }) => [machineId, cause])).to.deep.equal([[connector?.id, AlarmCause.LOST]]);
    expect(raised[0]?.unreachableHubs).to.equal(HUBS);
  });
});
