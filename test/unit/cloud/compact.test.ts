// A stopped cloud's store is made smaller, and holds the same.
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { compact } from '../../../src/cloud/compact.js';
import { Ledger } from '../../../src/cloud/telemetry/ledger.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { LevelStore } from '../../../src/storage/level.js';
import { folderSize } from '../../bench/store-size.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { HUB, LOG, TelemetryStore, WrittenLog } from '../../support/telemetry-store.js';
import { randomWalk } from '../telemetry/arbitraries.js';

const modules = { clock: systemClock, log: silentLogger };

describe(`compacting the store of a stopped cloud (seed ${testSeed})`, () => {
  let data: string;
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'compact-'));
  });
  afterEach(() => rm(data, { recursive: true }));

  const open = () => LevelStore.open({ directory: join(data, 'store') }, modules);
  const codeOf = (attempt: Promise<unknown>) => attempt.then(() => 'done').catch(({ code }: { code: string }) => code);

  it('merges all there is, gives back the space, and changes nothing that is read', async () => {
    const walk = { sensors: 5, readings: 2_000, flushes: 100, step: 1 };
    const flushes = randomWalk(seededRandom(testSeed), walk).map((flush, number) => ({ ...flush, number }));
    const logs = [new WrittenLog(flushes, LOG), new WrittenLog(flushes, Buffer.alloc(16, 0x44))];
    const store = await open();
    const telemetry = new TelemetryStore(store);
    for (const log of logs) {
      for (let i = 0; i < flushes.length; i++) await telemetry.add(log.batch(i, i + 1));
    }
    const ledger = (await new Ledger(store).of(HUB)).all().map(([, state]) => state.holding());
    await store.stop();

    const done = await compact(data, modules);
    expect(done.merges).to.equal(2);
    expect(done.after).to.be.lessThan(done.before / 3);
    expect(await folderSize(join(data, 'store'))).to.be.lessThan(done.before / 3);
    const again = await open();
    expect((await new TelemetryStore(again).contents()).entries).to.have.length(2);
    expect(await new TelemetryStore(again).query()).to.deep.equal(logs.flatMap((log) => log.placed()));
    expect((await new Ledger(again).of(HUB)).all().map(([, state]) => state.holding())).to.deep.equal(ledger);
    expect(await codeOf(compact(data, modules)), 'of a cloud that runs').to.equal('storage.in-use');
    await again.stop();
    expect((await compact(data, modules)).merges, 'nothing is left to do').to.equal(0);
  });

  it('makes no store where there is none', async () => {
    await mkdir(join(data, 'ca'));
    expect(await codeOf(compact(data, modules))).to.equal('storage.unusable');
    expect(await readdir(data)).to.deep.equal(['ca']);
  });
});
