// Whatever is written, answered, refused and closed in whatever order: in the end nothing waits any more.
import { expect } from 'chai';
import fc from 'fast-check';
import type { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { Delivery } from '../../../src/hub/delivery.js';
import { SigningKey } from '../../../src/identity/keys.js';
import type { ContentMessage } from '../../../src/link/hub-session.js';
import { MemoryStore } from '../../../src/storage/memory.js';
import { unpackBatch } from '../../../src/telemetry/batch.js';
import { RangeSet } from '../../../src/telemetry/ranges.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { testSeed } from '../../support/seeded-random.js';
import { openWal, readings, temporaryDirectory } from '../wal/support.js';

type Step =
  | { readonly do: 'write' | 'credit'; readonly amount: number }
  | { readonly do: 'answer' | 'refuse'; readonly which: number }
  | { readonly do: 'close the log' | 'compare' | 'settle' };

const step = fc.oneof<fc.WeightedArbitrary<Step>[]>(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), amount: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('answer' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refuse' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('credit' as const), amount: fc.integer({ min: 1, max: 500 }) }) },
  { weight: 3, arbitrary: fc.constantFrom<Step>({ do: 'close the log' }, { do: 'compare' }) },
  { weight: 8, arbitrary: fc.constant<Step>({ do: 'settle' }) },
);

interface Sent {
  readonly log: Buffer;
  readonly first: number;
  readonly count: number;
}

const KEY = SigningKey.generate();

/** Readings that wait after everything has been answered that was sent; or all but the first batch. */
async function play(steps: readonly Step[], liveWindow: number, answersAll = true): Promise<number> {
  await using directory = await temporaryDirectory();
  const wal = await openWal(directory.path, { clock: new FakeClock(), openStore: async () => new MemoryStore() });
  const unanswered: Sent[] = [];
  let forgotten: Sent | undefined;
  const sendContent = ({ $case, value }: ContentMessage, _: Lane) => {
    expect($case).to.equal('batch');
    const { log, firstFlush: first, flushCount: count } = unpackBatch(value.content).header;
    const isTwice = unanswered.some(
      (one) => one.log.equals(log) && RangeSet.from([one]).within({ first, count }).size > 0,
    );
    expect(isTwice, 'on its way twice').to.equal(false);
    if (answersAll || forgotten) unanswered.push({ log: Buffer.from(log), first, count });
    else forgotten = { log: Buffer.from(log), first, count };
    return value.content.length;
  };
  const session = { state: 'up' as const, queuedBytes: 0, drained: async () => {}, sendContent, report: () => {} };
  let failure: Error | undefined;
  const onFailure = (error: Error) => {
    failure = error;
  };
  const delivery = new Delivery({ liveWindow, batchReadings: 10, parted: [] }, { session, wal, key: KEY, onFailure });
  const suspended = new Set<Buffer>();
  const take = (which: number) => unanswered.splice(which % Math.max(1, unanswered.length), 1);
  const answer = async (batches: readonly Sent[]) => {
    for (const { log, ...range } of batches) {
      await wal.ack(log, [range]);
      delivery.acked(log, RangeSet.from([range]));
    }
  };
  const resume = () => {
    for (const log of suspended) delivery.resume(log);
    suspended.clear();
  };
  for (const [at, one] of steps.entries()) {
    if (one.do === 'write') await wal.append(readings(at, one.amount));
    else if (one.do === 'credit') delivery.credit(one.amount);
    else if (one.do === 'answer') await answer(take(one.which));
    else if (one.do === 'close the log') await wal.startNewLog();
    else if (one.do === 'compare') resume();
    else if (one.do === 'settle') await settle();
    else if (one.do === 'refuse') {
      for (const { log, ...range } of take(one.which)) {
        delivery.refused(log, range);
        delivery.suspend(log);
        suspended.add(log);
      }
    }
  }
  resume();
  delivery.credit(1e9);
  await settle();
  for (; unanswered.length > 0; await settle()) await answer(unanswered.splice(0, 1));
  const waiting = wal.queuedReadings;
  delivery.end();
  await wal.stop();
  if (failure) throw failure;
  return waiting;
}

describe(`hub: delivery, in whatever order (seed ${testSeed})`, function () {
  this.timeout(30_000);

  it('leaves nothing waiting', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 80 }),
        fc.constantFrom(300, 2_000, 256 * 1_024),
        async (steps, liveWindow) => {
          expect(await play(steps, liveWindow)).to.equal(0);
        },
      ),
      { seed: testSeed, numRuns: 200 },
    );
  });

  it('does not hold back for another log what a closed one has left', async () => {
    const write = { do: 'write', amount: 1 } as const;
    const written: Step[] = Array.from({ length: 3 }, () => [write, { do: 'settle' } as const]).flat();
    expect(await play([...written, { do: 'close the log' }], 256 * 1_024)).to.equal(0);
  });

  it('notices what is never answered (negative control)', async () => {
    expect(await play([{ do: 'write', amount: 3 }], 256 * 1_024, false)).to.equal(3);
  });
});
