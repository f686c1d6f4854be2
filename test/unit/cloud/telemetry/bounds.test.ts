// What one hub can make the cloud keep in memory, however little it sends.
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { type Author, Ingest } from '../../../../src/cloud/telemetry/ingest.js';
import { LatestReadings } from '../../../../src/cloud/telemetry/latest.js';
import { HubLedger } from '../../../../src/cloud/telemetry/ledger.js';
import { SigningKey } from '../../../../src/identity/keys.js';
import { signContent } from '../../../../src/identity/signed.js';
import { TAGS } from '../../../../src/identity/tags.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import type { Store } from '../../../../src/storage/store.js';
import { packBatch } from '../../../../src/telemetry/batch.js';
import type { Reading } from '../../../../src/telemetry/reading.js';
import { settle } from '../../../support/fake-clock.js';

const hub = { customer: Buffer.alloc(16, 1), machine: Buffer.alloc(16, 2) };
const log = Buffer.alloc(16, 3);
const reading = (sensor: number): Reading => ({
  sensor,
  takenAt: epochMs(1),
  state: State.OK,
  message: '',
  values: [],
});

describe('cloud: bounds of what a hub makes it keep', () => {
  it('keeps the latest readings of as many sensors as a hub may have, and the newest of them', () => {
    const latest = new LatestReadings();
    for (let flush = 0; flush < 10; flush++) {
      const placed = Array.from({ length: 1_000 }, (_, position) => {
        return { reading: reading(flush * 1_000 + position), flush, position };
      });
      latest.stored(hub, log, { latest: () => placed });
    }
    const kept = latest.of(hub);
    expect(kept).to.have.length(2_000);
    expect(kept.at(-1)?.reading.sensor).to.equal(9_999);
    expect(kept[0]?.reading.sensor).to.equal(8_000);
  });

  it('keeps no more latest values of a hub than honest ones have, and the newest of them', () => {
    const latest = new LatestReadings();
    const values = Array.from({ length: 256 }, (_, n) => ({ name: `v${n}`, unit: '', value: 0 }));
    for (let flush = 0; flush < 3; flush++) {
      const placed = Array.from({ length: 1_000 }, (_, sensor) => {
        return { reading: { ...reading(sensor), values }, flush, position: sensor };
      });
      latest.stored(hub, log, { latest: () => placed });
    }
    const kept = latest.of(hub);
    expect(kept.map((placed) => placed.reading.sensor)).to.deep.equal(Array.from({ length: 64 }, (_, i) => 936 + i));
    expect(kept.every(({ flush }) => flush === 2)).to.equal(true);
  });

  it('remembers of logs that were announced and nothing else the last ones', () => {
    const ledger = new HubLedger();
    const id = (n: number) => {
      const bytes = Buffer.alloc(16);
      bytes.writeUInt32BE(n);
      return bytes;
    };
    ledger.log(id(0)).hold(0, { flushCount: 3, readingCount: 3, chain: Buffer.alloc(16) });
    for (let n = 0; n < 10_000; n++) ledger.announce(id(n), n + 7);
    expect(ledger.all()).to.have.length(257);
    expect(ledger.look(id(9_999)).announced).to.equal(10_006);
    expect(ledger.look(id(0)).announced, 'one that is held').to.equal(7);
    ledger.mention(id(30_000));
    expect(ledger.all().at(-1)?.[1].held.size, 'one that was only named').to.equal(0);
    // Looking makes nothing, and what is written to keeps what was announced.
    ledger.look(id(20_000));
    expect(ledger.all()).to.have.length(257);
    expect(ledger.log(id(9_999)).announced).to.equal(10_006);
    expect(ledger.all()).to.have.length(257);
  });

  it('unfolds batches one after the other when they are large, whatever they take on the wire', async () => {
    const key = SigningKey.generate();
    const ledger = new HubLedger();
    const budget = { unfold: () => undefined, record: () => undefined };
    const author = (): Author => ({ ...hub, ledger, budget, verifyKey: () => key.publicKey, isCurrent: () => true });
    const batch = (first: number) => {
      const values = Array.from({ length: 64 }, (_, n) => ({ name: `v${n}`, unit: '', value: 0 }));
      const readings = Array.from({ length: 4_096 }, () => ({ ...reading(1), values }));
      const head = { log, firstFlush: first, chain: Buffer.alloc(16, first) };
      return signContent(key, TAGS.BATCH, packBatch(head, [{ number: first, readings }]));
    };
    const batches = [0, 1, 2, 3, 4, 5, 6, 7].map(batch);
    expect(Math.max(...batches.map(({ content }) => content.length)), 'bytes on the wire').to.be.lessThan(6_000);
    // A store that takes its time: everything that is unfolded meanwhile waits in memory.
    const store = new MemoryStore();
    let waiting = 0;
    let most = 0;
    let go = () => {};
    const slow = {
      get: (k: Buffer) => store.get(k),
      commit: async (make: Parameters<Store['commit']>[0]) => {
        most = Math.max(most, ++waiting);
        await new Promise<void>((resolve) => {
          const before = go;
          go = () => {
            before();
            resolve();
          };
        });
        waiting -= 1;
        return store.commit(make);
      },
    } as Store;
    const ingest = new Ingest(slow);
    let stored = 0;
    const all = Promise.all(batches.map((signed) => ingest.batch(author(), signed).then(() => stored++)));
    while (stored < batches.length) {
      const release = go;
      go = () => {};
      release();
      await settle();
    }
    await all;
    expect(most, 'batches unfolded at the same time').to.be.lessThan(5);
    await store.stop();
  });
});
