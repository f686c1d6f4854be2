// What a session sends of the log, and when: seen at the session.
import { expect } from 'chai';
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { Delivery } from '../../../src/hub/delivery.js';
import { SigningKey } from '../../../src/identity/keys.js';
import type { ContentMessage } from '../../../src/link/hub-session.js';
import { MemoryStore } from '../../../src/storage/memory.js';
import { unpackBatch } from '../../../src/telemetry/batch.js';
import { RangeSet } from '../../../src/telemetry/ranges.js';
import type { Wal } from '../../../src/wal/wal.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { openWal, readings, temporaryDirectory } from '../wal/support.js';

const BATCH_READINGS = 10;

interface Sent {
  readonly lane: Lane;
  readonly log: Uint8Array;
  readonly first: number;
  readonly count: number;
}

describe('hub: delivery', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let wal: Wal;
  let delivery: Delivery;
  const sent: Sent[] = [];

  beforeEach(async () => {
    directory = await temporaryDirectory();
    // Nothing of it is slower than promises are: what has not been sent by then never is.
    wal = await openWal(directory.path, { clock: new FakeClock(), openStore: async () => new MemoryStore() });
    sent.length = 0;
    const session = {
      state: 'up' as const,
      queuedBytes: 0,
      drained: async () => {},
      sendContent: ({ $case, value }: ContentMessage, lane: Lane) => {
        expect($case).to.equal('batch');
        const { log, firstFlush, flushCount } = unpackBatch(value.content).header;
        sent.push({ lane, log, first: firstFlush, count: flushCount });
        return value.content.length;
      },
      report: () => {},
    };
    const onFailure = (error: Error) => {
      throw error;
    };
    delivery = new Delivery(
      { liveWindow: 256 * 1_024, batchReadings: BATCH_READINGS, parted: [] },
      { session, wal, key: SigningKey.generate(), onFailure },
    );
  });

  afterEach(async () => {
    delivery.end();
    await wal.stop();
    await directory[Symbol.asyncDispose]();
  });

  /** Resolves when it has seen what was written. */
  async function write(count: number): Promise<void> {
    await wal.append(readings(sent.length, count));
    await settle();
  }

  async function answer({ log, first, count }: Sent): Promise<void> {
    delivery.acked(log, RangeSet.from([{ first, count }]));
    await settle();
  }

  const counts = () => sent.map(({ first, count }) => [first, count]);

  it('sends what is live at once while answers come, and one batch of all that has gathered when they do not', async () => {
    for (let i = 0; i < 6; i++) await write(1);
    expect(counts(), 'two are on their way').to.deep.equal([
      [0, 1],
      [1, 1],
    ]);
    const [first] = sent;
    if (!first) return;
    await answer(first);
    expect(counts()).to.deep.equal([
      [0, 1],
      [1, 1],
      [2, 4],
    ]);
    expect(sent.map(({ lane }) => lane)).to.deep.equal([Lane.LIVE, Lane.LIVE, Lane.LIVE]);
    for (const one of sent.slice(1)) await answer(one);
    await write(1);
    expect(counts().at(-1)).to.deep.equal([6, 1]);
  });

  it('waits no longer for what a carrier has lost once something later is answered', async () => {
    for (let i = 0; i < 2; i++) await write(1);
    await write(BATCH_READINGS);
    const full = sent.at(-1);
    if (!full) return;
    await answer(full);
    for (let i = 0; i < 3; i++) await write(1);
    expect(counts().slice(2)).to.deep.equal([
      [2, 1],
      [3, 1],
      [4, 1],
    ]);
  });

  it('waits for no answer with a batch that is full', async () => {
    for (let i = 0; i < 5; i++) await write(BATCH_READINGS);
    expect(counts()).to.deep.equal([0, 1, 2, 3, 4].map((first) => [first, 1]));
    for (let i = 0; i < 4; i++) await write(4);
    // Eight readings, and the next four do not fit.
    expect(counts().slice(5)).to.deep.equal([[5, 2]]);
  });
});
