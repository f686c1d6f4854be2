// How fast readings get from hubs through one connector into the cloud's store, and what that costs whom. Everything is
// as in a customer's network: real processes, TLS on both hops, signed batches, logs and store that sync, ledgers.
//
// The time begins when all sessions are up and some readings have warmed everything up, and ends when the last reading
// is acknowledged, which the cloud does only for what is stored; its ledgers are read afterwards, so that looking costs
// nothing of what is measured.
import { dirname } from 'node:path';
import { compact } from '../../../src/cloud/compact.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { type RoleCpu, verifyStored } from '../load.js';
import { type BenchContext, figuresOf, type Part, type Sample, sideBySide } from '../part.js';
import { type Plan, planSite, Site } from '../site.js';
import { compactedSize, folderSize } from '../store-size.js';

interface Size {
  readonly hubs: number;
  readonly processes: number;
  readonly sensors: number;
  /** Of each hub. */
  readonly readings: number;
  /** Of each hub, before that, so that every program has been compiled. */
  readonly warmUpFlushes: number;
}

const FULL: Size = { hubs: 100, processes: 4, sensors: 20, readings: 10_000, warmUpFlushes: 20 };
const SMOKE: Size = { hubs: 4, processes: 2, sensors: 20, readings: 1_000, warmUpFlushes: 2 };
const BATCHES = [20, 100, 500];

export const ingest: Part = {
  name: 'ingest',
  about: 'readings through one connector into the synced store of the cloud',
  run: async (context) => {
    const size = context.smoke ? SMOKE : FULL;
    const plan = await planSite(size.hubs, context);
    const samples: Sample[] = [];
    // Run by run and not batch by batch: what disturbs the machine for a while shows as spread.
    for (let run = 1; run <= context.runs; run++) {
      for (const batch of BATCHES) {
        context.signal.throwIfAborted();
        const at = `batches of ${batch}`;
        context.progress(`${at}, run ${run} of ${context.runs}`);
        for (const sample of await measure(plan, batch, size, context)) samples.push({ ...sample, at });
      }
    }
    return sideBySide(figuresOf(samples));
  },
};

async function measure(plan: Plan, batch: number, size: Size, context: BenchContext): Promise<Omit<Sample, 'at'>[]> {
  const { clock } = context;
  const { hubs, sensors, readings } = size;
  const warmUp = size.warmUpFlushes * batch;
  const count = hubs * readings;
  const site = await Site.start(plan, 'run', {}, context);
  try {
    await site.startConnector();
    const load = site.load(site.hubs, size.processes);
    await load.start(site.connectorAddress, batch);
    await load.connected();
    const emptyLogs = await load.logSize();
    await load.prepare(warmUp + readings, sensors);
    await load.feed(warmUp, batch);

    const before = { at: clock.monotonic(), cpu: load.cpu(site), wire: site.internet.carried.up };
    await load.feed(readings, batch);
    const seconds = (clock.monotonic() - before.at) / 1_000;
    const [cpu, wire] = [load.cpu(site), site.internet.carried.up];

    const stored = await verifyStored(site, await load.durable());
    if (stored !== count + hubs * warmUp) throw new Error(`${stored} readings are stored, which is not what was fed`);
    await load.stop();
    const logs = (await load.logSize()) - emptyLogs;
    await site.stop();
    const store = (await compactedSize(site.store)) - plan.storeSize;
    const own = process.cpuUsage();
    await compact(dirname(site.store), { clock, log: silentLogger });
    const { user, system } = process.cpuUsage(own);
    const merged = (await folderSize(site.store)) - plan.storeSize;

    const perMillion = (role: keyof RoleCpu) => ((cpu[role] - before.cpu[role]) * 1e6) / count;
    const [ofHubs, ofConnector, ofCloud] = [perMillion('hubs'), perMillion('connector'), perMillion('cloud')];
    return [
      { figure: 'readings per second', unit: '/s', value: count / seconds },
      { figure: 'CPU per million, hubs', unit: 's', value: ofHubs },
      { figure: 'CPU per million, connector', unit: 's', value: ofConnector },
      { figure: 'CPU per million, cloud', unit: 's', value: ofCloud },
      { figure: 'CPU per million, all roles', unit: 's', value: ofHubs + ofConnector + ofCloud },
      // What the cloud does in the background, for the most part later.
      { figure: 'CPU per million, cloud, to merge all', unit: 's', value: (user + system) / stored },
      { figure: 'on the wire per reading', unit: 'bytes', value: (wire - before.wire) / count },
      { figure: 'in the logs of the hubs per reading', unit: 'bytes', value: logs / stored },
      { figure: 'in the cloud store per reading', unit: 'bytes', value: store / stored },
      { figure: 'in the cloud store per reading, all merged', unit: 'bytes', value: merged / stored },
    ];
  } finally {
    await site.remove();
  }
}
