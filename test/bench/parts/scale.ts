// 100 connectors with 100 hubs each, every hub with a sign of life and a reading every 10 s: what the cloud needs for
// 10,000 sessions, what a connector needs for its 100, and how long it takes until all are back when the cloud has been
// killed.
//
// The cloud and one connector are the program itself. The hubs of that connector come over its LAN, 100 TLS connections;
// the other 99 connectors and 9,900 hubs live in a few generator processes (programs/swarm.ts says what that leaves out),
// whose processor time and memory count nowhere, but which run on the same processors. At the end the ledger of every hub
// is compared with what the hub has written.
//
// Memory is that with all hubs up and reporting, less that with all trunks up and no hub ever seen.
import { sleep } from '../../../src/kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../../../src/kernel/duration.js';
import { type BenchContext, figuresOf, type Part, type Sample } from '../part.js';
import { cpuSeconds } from '../processes.js';
import type { MemoryUse } from '../swarm/memory.js';
import { SwarmMesh, type SwarmSize } from '../swarm/mesh.js';

interface Size extends SwarmSize {
  /** In which all hubs come for the first time. */
  readonly arrival: Duration;
  /** In which processor time is measured. */
  readonly window: Duration;
}

const FULL: Size = { connectors: 100, hubsEach: 100, swarms: 4, arrival: seconds(20), window: seconds(20) };
const SMOKE: Size = { connectors: 3, hubsEach: 4, swarms: 1, arrival: seconds(1), window: seconds(2) };
const EVERY = seconds(10);

export const scale: Part = {
  name: 'scale',
  about: '10,000 hubs behind 100 connectors, and a cloud that is killed and comes back',
  run: async (context) => {
    const { clock, progress, runs, signal } = context;
    const size = context.smoke ? SMOKE : FULL;
    const mesh = await SwarmMesh.start(size, context);
    // What a start brings along is over.
    await sleep(clock, seconds(3), signal);
    const before = await memory(mesh);
    progress('connecting all hubs');
    await mesh.connectHubs(size.arrival, EVERY);
    await mesh.untilAllUp();
    await mesh.arrivals();
    const samples: Sample[] = [];
    for (let run = 1; run <= runs; run++) {
      progress(`killing the cloud, run ${run} of ${runs}`);
      samples.push(...(await restart(mesh, context)));
      progress('all are back: processor time and memory');
      // Until each has reported, and what came along with the start is over.
      await sleep(clock, milliseconds(1.5 * EVERY), signal);
      samples.push(await load(mesh, size.window, context), ...grown(mesh, before, await memory(mesh)));
    }
    progress('comparing what is stored with what was written');
    await mesh.verifyStored();
    return figuresOf(samples);
  },
};

/** Until all sessions are back, from the moment of the kill. */
async function restart(mesh: SwarmMesh, { clock, profiles }: BenchContext): Promise<Sample[]> {
  // A profile is written only at an orderly end.
  await (profiles === undefined ? mesh.cloud.kill() : mesh.cloud.stop());
  const killed = clock.now();
  await mesh.startCloud();
  const answers = clock.now();
  await mesh.untilAllUp();
  const arrivals = await mesh.arrivals();
  const at = sessions(mesh.hubs);
  const since = (time = Number.NaN) => (time - killed) / 1_000;
  return [
    { figure: 'cloud answers after a kill', at, unit: 's', value: since(answers) },
    { figure: 'half of the sessions back', at, unit: 's', value: since(arrivals[Math.floor(mesh.hubs / 2)]) },
    { figure: 'sessions back after a cloud restart', at, unit: 's', value: since(arrivals.at(-1)) },
    { figure: 'highest admission rate', at, unit: '/s', value: busiestSecond(arrivals) },
  ];
}

async function load(mesh: SwarmMesh, window: Duration, { clock, signal }: BenchContext): Promise<Sample> {
  const cpu = () => cpuSeconds(mesh.cloud.pid ?? 0);
  const before = { cpu: cpu(), at: clock.monotonic() };
  await sleep(clock, window, signal);
  const share = ((cpu() - before.cpu) * 1_000) / (clock.monotonic() - before.at);
  return { figure: 'CPU of the cloud', at: sessions(mesh.hubs), unit: '% of a core', value: share * 100 };
}

interface Both {
  readonly cloud: MemoryUse;
  readonly connector: MemoryUse;
}

const memory = async (mesh: SwarmMesh): Promise<Both> => ({
  cloud: await mesh.memory(mesh.cloud),
  connector: await mesh.memory(mesh.connector),
});

function grown(mesh: SwarmMesh, before: Both, now: Both): Sample[] {
  const perHub = (role: keyof Both, of: keyof MemoryUse, hubs: number): Omit<Sample, 'figure'> => ({
    at: sessions(hubs),
    unit: 'KiB',
    value: (now[role][of] - before[role][of]) / hubs / 1_024,
  });
  const { hubsEach } = mesh.size;
  return [
    { figure: 'cloud memory per hub', ...perHub('cloud', 'heapAndExternal', mesh.hubs) },
    { figure: 'cloud RSS per hub', ...perHub('cloud', 'resident', mesh.hubs) },
    { figure: 'connector memory per hub', ...perHub('connector', 'heapAndExternal', hubsEach) },
    { figure: 'connector RSS per hub', ...perHub('connector', 'resident', hubsEach) },
  ];
}

const sessions = (count: number): string => `${count.toLocaleString('en')} sessions`;

/** The most arrivals within a second. */
function busiestSecond(arrivals: readonly number[]): number {
  let [most, from] = [0, 0];
  for (const [i, at] of arrivals.entries()) {
    while ((arrivals[from] ?? at) <= at - 1_000) from += 1;
    most = Math.max(most, i + 1 - from);
  }
  return most;
}
