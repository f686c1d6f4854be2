// Whoever judges exactly-once must find what is wrong: a lost, an altered and a doubled reading, made by hand in the store
// of a cloud that is not running.
import { appendFile, copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { TABLES } from '../../src/cloud/tables.js';
import { judge } from '../../src/demo/verdict.js';
import { sleep, systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { EVERYTHING } from '../../src/storage/copy.js';
import { LevelStore } from '../../src/storage/level.js';
import type { Entry, Op } from '../../src/storage/store.js';
import { flaws, PERFECT, RoughMesh } from '../support/rough-mesh.js';

/** Where the table's number stands in a key, behind the customer; after it the machine, then the log. */
const TABLE_AT = 16;
const LOG_AT = 33;

describe('the judge of delivery (negative control)', function () {
  this.timeout(60_000);

  it('finds what is lost, altered and doubled', async () => {
    await using rough = await RoughMesh.start({ hubs: 1, sensors: 5 });
    const { client } = rough.mesh;
    const [hub] = rough.hubs;
    if (!hub) throw new Error('no hub');
    const { machineId, journal } = hub;
    await sleep(systemClock, seconds(4));
    expect(flaws(await rough.settled())).to.deep.equal(PERFECT);
    await hub.process.stop();
    const honest = await judge(client, machineId, [journal]);
    expect(honest.durable).to.be.greaterThan(10);

    // The hub has recorded more than the cloud has, or something else.
    const other = join(rough.directory, 'other.journal');
    const [first = '', ...lines] = (await readFile(journal, 'utf8')).trimEnd().split('\n');
    const line = JSON.parse(first) as { flush: number; takenAt: number };
    await copyFile(journal, other);
    await appendFile(other, `${JSON.stringify({ ...line, flush: 1_000_000, takenAt: line.takenAt + 1 })}\n`);
    expect(await judge(client, machineId, [other])).to.include({ lost: 1, altered: 0 });
    await writeFile(other, `${[JSON.stringify({ ...line, takenAt: line.takenAt + 1 }), ...lines].join('\n')}\n`);
    expect(await judge(client, machineId, [other])).to.include({ lost: 0, altered: 1 });

    // A batch is in the store twice, under two logs.
    await edit(rough, (entries) =>
      entries.map(({ key, value }) => {
        const twin = Buffer.from(key);
        twin[LOG_AT] = (twin[LOG_AT] ?? 0) ^ 1;
        return { put: twin, value };
      }),
    );
    const doubled = await judge(client, machineId, [journal]);
    expect(doubled.duplicated).to.be.greaterThan(0);
    expect(doubled.lost).to.equal(honest.lost);

    // A batch is gone, and its ledger entry with it: nobody but the journal knows of it.
    await edit(rough, (entries) => entries.map(({ key }) => ({ del: key })));
    await edit(rough, (entries) => entries.map(({ key }) => ({ del: key })));
    expect((await judge(client, machineId, [journal])).lost).to.be.greaterThan(honest.lost);
    rough.passed();
  });
});

/** Changes the last batch that the stopped cloud holds and its ledger entry, then starts it again. */
async function edit(rough: RoughMesh, change: (entries: readonly Entry[]) => readonly Op[]): Promise<void> {
  await rough.mesh.cloud.stop();
  const directory = join(rough.directory, 'cloud', 'store');
  const store = await LevelStore.open({ directory }, { log: silentLogger });
  try {
    const last = new Map<number, Entry>();
    const machine = Buffer.from((rough.hubs[0]?.machineId ?? '').replaceAll('-', ''), 'hex');
    for await (const entry of store.entries(EVERYTHING)) {
      const table = entry.key[TABLE_AT] ?? 0;
      const mine = entry.key.subarray(TABLE_AT + 1, LOG_AT).equals(machine);
      if (mine && (table === TABLES.batch || table === TABLES.ledger)) last.set(table, entry);
    }
    expect(last.size, 'a batch and its entry').to.equal(2);
    await store.commit(() => change([...last.values()]));
  } finally {
    await store.stop();
  }
  expect(await rough.startCloud()).to.equal(true);
}
