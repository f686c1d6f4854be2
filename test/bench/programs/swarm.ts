// A generator of sessions: very many hubs, and the connectors that carry them, in one process. Everything in it is the
// program's own code with real keys, certificates, signatures, logs (each a LevelDB of its own) and TLS. What differs
// from as many processes:
//   - a hub has no sensors; it is told when to write a reading
//   - between a hub and a connector of the same process there is no LAN: its envelopes go straight into the trunk. A site
//     with `lan` has real connections to a real connector instead.
import { setMaxListeners } from 'node:events';
import { Path } from '../../../gen/occmesh/link/v1/link.js';
import { ConnectorDirectory } from '../../../src/discovery/directory.js';
import { Routes } from '../../../src/hub/routes.js';
import type { TrustBundle } from '../../../src/identity/certificates.js';
import { systemClock as clock, sleep } from '../../../src/kernel/clock.js';
import { milliseconds } from '../../../src/kernel/duration.js';
import { silentLogger as log } from '../../../src/kernel/log.js';
import { systemRandom as random } from '../../../src/kernel/random.js';
import { metronome } from '../../../src/sensors/metronome.js';
import { inParallel } from '../parallel.js';
import { serve } from '../program.js';
import { requireMember, type Search, SwarmHub } from '../swarm/hub.js';
import { SwarmTrunk } from '../swarm/trunk.js';

/** One connector and its hubs. */
export interface SwarmSite {
  /** Its membership, where the connector is to be part of the swarm. */
  readonly connector?: string;
  /** Where it listens (host:port), where it is a process of its own. */
  readonly lan?: string;
  /** Directories of the hubs. */
  readonly hubs: readonly string[];
}

export interface SwarmState {
  readonly trunks: number;
  readonly sessions: number;
  /** Readings that the cloud has not acknowledged. */
  readonly queued: number;
}

const modules = { clock, random };
const quit = new AbortController();
// Every hub waits for it.
setMaxListeners(0, quit.signal);
const hubs: { readonly hub: SwarmHub; readonly search: Search }[] = [];
const trunks: SwarmTrunk[] = [];
const pens: Disposable[] = [];
const writing = new Set<Promise<void>>();
let sessions = 0;
/** When sessions came up, milliseconds since 1970. */
let arrivals: number[] = [];

async function openSite(site: SwarmSite): Promise<void> {
  const { connector, lan = '' } = site;
  const trunk = connector === undefined ? undefined : new SwarmTrunk(await requireMember(connector), modules);
  if (trunk) trunks.push(trunk);
  const [first = ''] = site.hubs;
  const { trust } = await requireMember(first);
  const added = await inParallel(16, site.hubs.length, async (i) => {
    const directory = site.hubs[i] ?? '';
    const hub = await SwarmHub.open(directory, trust, modules);
    return { hub, search: trunk ? trunk.searchFor(hub) : await lanSearch(hub, directory, lan, trust) };
  });
  hubs.push(...added);
}

/** As src/hub/hub.ts does it. */
async function lanSearch(hub: SwarmHub, directory: string, lan: string, trust: TrustBundle): Promise<Search> {
  const { certificate, identity: key, record } = hub.membership;
  const routes = new Routes(
    { cloud: record.cloud, directAllowed: false },
    {
      directory: await ConnectorDirectory.open({ file: `${directory}/connectors.json`, configured: [lan] }, { log }),
      credentials: () => ({ certificate, key, trust }),
      isRevoked: () => false,
      newMember: () => hub.newMember(Path.CONNECTOR),
      onUp: () => undefined,
      ...modules,
      log,
    },
  );
  return (signal) => routes.connectors(signal);
}

const abilities = {
  /** Opens the logs of all hubs. */
  async open(sites: readonly SwarmSite[]): Promise<void> {
    for (const site of sites) await openSite(site);
  },

  /** Starts the trunks. */
  async dial(_: undefined): Promise<void> {
    for (const { link } of trunks) void link.run(quit.signal);
  },

  /** Starts the hubs, evenly over so many milliseconds. */
  async connect(withinMs: number): Promise<void> {
    for (const [i, { hub, search }] of hubs.entries()) {
      const wait = milliseconds((i / hubs.length) * withinMs);
      const up = () => {
        sessions += 1;
        arrivals.push(clock.now());
      };
      const down = () => {
        sessions -= 1;
      };
      void sleep(clock, wait, quit.signal).then(() => hub.run(search, up, down, quit.signal));
    }
  },

  /** From now on each hub writes one reading in so many milliseconds, all of them evenly. */
  async write(everyMs: number): Promise<void> {
    for (const [i, { hub }] of hubs.entries()) {
      const grid = { first: milliseconds((i / hubs.length) * everyMs), interval: milliseconds(everyMs) };
      const write = () => {
        const done = hub.write().finally(() => writing.delete(done));
        writing.add(done);
      };
      pens.push(metronome(grid, clock, write));
    }
  },

  /** No more readings. Resolves with how many each hub has written. */
  async rest(_: undefined): Promise<[machineId: string, written: number][]> {
    for (const pen of pens.splice(0)) pen[Symbol.dispose]();
    await Promise.all(writing);
    return hubs.map(({ hub }) => [hub.machineId, hub.written]);
  },

  async state(_: undefined): Promise<SwarmState> {
    const queued = hubs.reduce((sum, { hub }) => sum + hub.queued, 0);
    return { trunks: trunks.filter(({ link }) => link.state === 'up').length, sessions, queued };
  },

  /** When sessions came up since this was asked last. */
  async arrivals(_: undefined): Promise<number[]> {
    const since = arrivals;
    arrivals = [];
    return since;
  },
};

export type SwarmAbilities = typeof abilities;

serve(abilities, async () => {
  quit.abort();
});
