// What is known to be missing of a hub, compared with what the hub has written.
import { expect } from 'chai';
import fc from 'fast-check';
import { GapReason, State, Witness } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { type MissingFlushes, missingFlushes } from '../../../../src/cloud/telemetry/missing.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import type { Flush } from '../../../../src/telemetry/reading.js';
import { testSeed } from '../../../support/seeded-random.js';
import { HUB, TelemetryStore, WrittenLog } from '../../../support/telemetry-store.js';

const START = 1_700_000_000_000;
const STEP = 1_000;

/** A log that was born so long after the start, with a flush in each second from then on. */
function logAt(birth: number, flushes: number): WrittenLog {
  const id = Buffer.alloc(16, 0x44);
  id.writeUIntBE(START + birth, 0, 6);
  const taken = (n: number) => epochMs(START + birth + n * STEP);
  const written = Array.from({ length: flushes }, (_, number): Flush => {
    const reading = { sensor: 1, takenAt: taken(number), state: State.OK, message: '', values: [] };
    return { number, readings: [reading] };
  });
  return new WrittenLog(written, id);
}

class Missing {
  readonly telemetry = new TelemetryStore(new MemoryStore());

  /** Stores only some flushes, each as a batch. */
  async hold(log: WrittenLog, flushes: Iterable<number>): Promise<void> {
    for (const n of flushes) expect(await this.telemetry.add(log.batch(n, n + 1))).to.equal('stored');
  }

  async lose(log: WrittenLog, first: number, count: number, reason: GapReason, noticedAtMs: number): Promise<void> {
    const gap = { first, count, reason, witness: Witness.HUB, noticedAtMs, readingCount: 0 };
    const state = (await this.telemetry.ledger.of(HUB)).log(log.id);
    if (!state.knowsGap(gap)) state.addGap(gap);
  }

  async announce(log: WrittenLog): Promise<void> {
    (await this.telemetry.ledger.of(HUB)).announce(log.id, log.flushes.length);
  }

  async told(now: number): Promise<MissingFlushes[]> {
    const { store, ledger } = this.telemetry;
    const found: MissingFlushes[] = [];
    for await (const one of missingFlushes(store, HUB, await ledger.of(HUB), START + now)) found.push(one);
    return found;
  }
}

/** Without the log, times from the start on. */
const brief = ({ flushes, reason, from, until }: MissingFlushes) => [
  flushes.first,
  flushes.count,
  GapReason[reason],
  from - START,
  until - START,
];

describe(`cloud: what is missing (seed ${testSeed})`, () => {
  it('says nothing of a hub that has delivered everything', async () => {
    const missing = new Missing();
    const log = logAt(0, 3);
    await missing.hold(log, [0, 1, 2]);
    await missing.announce(log);
    expect(await missing.told(9_000)).to.deep.equal([]);
  });

  it('says why, and between which readings it was', async () => {
    const missing = new Missing();
    const log = logAt(0, 10);
    await missing.hold(log, [2, 3, 6]);
    await missing.announce(log);
    await missing.lose(log, 0, 1, GapReason.STORE_DAMAGED, START + 500_000);
    await missing.lose(log, 4, 2, GapReason.LOG_FULL, START + 5_500);
    expect((await missing.told(60_000)).map(brief)).to.deep.equal([
      // Before everything that is there: from the birth of the log on.
      [0, 1, 'STORE_DAMAGED', 0, 2_000],
      [1, 1, 'UNSPECIFIED', 0, 2_000],
      // It was noticed before the next reading that is there.
      [4, 2, 'LOG_FULL', 3_000, 5_500],
      [7, 3, 'UNSPECIFIED', 6_000, 60_000],
    ]);
    // What turns up is not missing, lost or not.
    await missing.hold(log, [4, 7, 8, 9]);
    expect((await missing.told(60_000)).map(brief)).to.deep.equal([
      [0, 1, 'STORE_DAMAGED', 0, 2_000],
      [1, 1, 'UNSPECIFIED', 0, 2_000],
      [5, 1, 'LOG_FULL', 4_000, 5_500],
    ]);
  });

  it('ends at the beginning of the next log, also of one of which nothing is here', async () => {
    const missing = new Missing();
    const [first, second, third] = [logAt(0, 3), logAt(100_000, 2), logAt(200_000, 1)];
    await missing.announce(second);
    await missing.hold(first, [0]);
    await missing.announce(first);
    await missing.hold(third, [0]);
    expect((await missing.told(300_000)).map(brief)).to.deep.equal([
      [1, 2, 'UNSPECIFIED', 0, 100_000],
      [0, 2, 'UNSPECIFIED', 100_000, 200_000],
    ]);
  });

  it('turns no span around when the clock was set back', async () => {
    const missing = new Missing();
    const log = logAt(10_000, 2);
    await missing.hold(log, [0]);
    await missing.announce(log);
    expect((await missing.told(3_000)).map(brief)).to.deep.equal([[1, 1, 'UNSPECIFIED', 3_000, 10_000]]);
  });

  it('tells exactly the flushes that are not here, with bounds that are true', async () => {
    const plan = fc.record({
      held: fc.array(fc.boolean(), { minLength: 1, maxLength: 24 }),
      gaps: fc.array(fc.record({ first: fc.nat(23), count: fc.integer({ min: 1, max: 8 }) }), { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ held, gaps }) => {
        const missing = new Missing();
        const log = logAt(0, held.length);
        await missing.hold(
          log,
          held.flatMap((here, n) => (here ? [n] : [])),
        );
        await missing.announce(log);
        const lost = new Set<number>();
        for (const { first, count } of gaps) {
          const end = Math.min(first + count, held.length);
          if (end <= first) continue;
          // Noticed as soon as it could be.
          await missing.lose(log, first, end - first, GapReason.LOG_FULL, START + (end - 1) * STEP);
          for (let n = first; n < end; n++) lost.add(n);
        }
        const told = await missing.told(held.length * STEP);
        const flushes = told.flatMap(({ flushes: { first, count }, ...span }) =>
          Array.from({ length: count }, (_, i) => ({ n: first + i, ...span })),
        );
        expect(flushes.map(({ n }) => n)).to.deep.equal(held.flatMap((here, n) => (here ? [] : [n])));
        for (const { n, reason, from, until } of flushes) {
          expect(reason === GapReason.LOG_FULL, `flush ${n}`).to.equal(lost.has(n));
          expect(START + n * STEP, `flush ${n}`).to.be.within(from, until);
        }
      }),
      { seed: testSeed, numRuns: 60 },
    );
  });
});
