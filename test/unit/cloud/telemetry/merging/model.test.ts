// Whatever is stored in whatever order, and merged at any moment: what is read is what was written, to the last bit,
// while ranges become others under the eyes of whoever reads them. On the store in memory and on the real one.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { digestsOf } from '../../../../../src/cloud/telemetry/chains.js';
import type { PlacedReading } from '../../../../../src/cloud/telemetry/latest.js';
import { Ledger } from '../../../../../src/cloud/telemetry/ledger.js';
import { Merger } from '../../../../../src/cloud/telemetry/merging/merger.js';
import type { Steps } from '../../../../../src/cloud/telemetry/merging/plan.js';
import { mergeAround, mergeHub } from '../../../../../src/cloud/telemetry/merging/walk.js';
import { queryReadings } from '../../../../../src/cloud/telemetry/query.js';
import { silentLogger } from '../../../../../src/kernel/log.js';
import { LevelStore } from '../../../../../src/storage/level.js';
import { MemoryStore } from '../../../../../src/storage/memory.js';
import type { Store } from '../../../../../src/storage/store.js';
import { flushDigest } from '../../../../../src/telemetry/chain.js';
import type { Flush } from '../../../../../src/telemetry/reading.js';
import { LevelFailures } from '../../../../support/level-failures.js';
import { testSeed } from '../../../../support/seeded-random.js';
import { ALL_TIME, HUB, TelemetryStore, WrittenLog } from '../../../../support/telemetry-store.js';
import { anyReadings, runs } from '../../../telemetry/arbitraries.js';

const STEPS: Steps = [2, 6, 20];

/** A log cut into batches that each have a reading; what is left over at the end belongs to the last one. */
const anyLog = fc
  .array(fc.tuple(fc.oneof(anyReadings(12), fc.constant([])), fc.boolean()), {
    minLength: 6,
    maxLength: 40,
    size: 'large',
  })
  .filter(([first]) => first !== undefined && first[0].length > 0)
  .map((all) => {
    const log = new WrittenLog(all.map(([readings], number): Flush => ({ number, readings })));
    const starts = all.flatMap(([readings, cut], i) => (i === 0 || (cut && readings.length > 0) ? [i] : []));
    return { log, cuts: starts.map((first, i) => [first, starts[i + 1] ?? all.length] as const) };
  });

type Step = 'add' | 'again' | 'forged' | 'merge' | 'merge anyway' | 'fail' | 'begin' | 'read' | 'digests';
const anySteps = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 8, arbitrary: fc.constant<Step>('add') },
      { weight: 4, arbitrary: fc.constantFrom<Step>('read', 'merge') },
      fc.constantFrom<Step>('again', 'forged', 'merge anyway', 'fail', 'begin', 'digests'),
    ),
    fc.nat(),
  ),
  { minLength: 20, maxLength: 120, size: 'max' },
);

type Case = ReturnType<typeof anyLog.generate>['value'];
type Failing = { failNextWrite(): void };

interface Reader {
  readonly pages: AsyncGenerator<PlacedReading[]>;
  /** What was held when it began. */
  readonly expected: readonly PlacedReading[];
  readonly found: PlacedReading[];
}

class Run {
  readonly #held = new Map<number, number>();
  readonly #telemetry: TelemetryStore;
  readonly #readers: Reader[] = [];
  merges = 0;

  constructor(
    private readonly of: Case,
    private readonly store: Store,
    private readonly failing: Failing,
  ) {
    this.#telemetry = new TelemetryStore(store);
  }

  get #modules() {
    return { store: this.store, steps: STEPS, merger: new Merger({ store: this.store }, STEPS), atOnce: 5 };
  }

  async step([what, n]: readonly [Step, number]): Promise<void> {
    const { log, cuts } = this.of;
    const next = what === 'add' && n % 2 === 0 ? cuts.find(([from]) => !this.#held.has(from)) : undefined;
    const [first, end] = next ?? (cuts[n % cuts.length] as readonly [number, number]);
    const isHeld = this.#held.has(first);
    if (what === 'add' || (what === 'again' && isHeld)) {
      expect(await this.#telemetry.add(log.batch(first, end))).to.equal(isHeld ? 'held' : 'stored');
      this.#held.set(first, end);
      if (!isHeld && n % 3 === 0) this.merges += await mergeAround(this.#modules, HUB, { log: log.id, first, end });
    }
    if (what === 'forged' && isHeld) {
      const other = new WrittenLog(log.flushes.map((flush) => (flush.number === first ? changed(flush) : flush)));
      expect(await this.#telemetry.add(other.batch(first, end))).to.equal('conflict');
    }
    if (what === 'merge') this.merges += await mergeHub(this.#modules, HUB);
    if (what === 'merge anyway') this.merges += await mergeHub(this.#modules, HUB, true);
    if (what === 'fail') {
      this.failing.failNextWrite();
      // A real store is opened again, and whoever was reading begins again.
      this.#readers.length = 0;
      const failed = await mergeHub(this.#modules, HUB, true).catch(({ code }: { code: string }) => code);
      expect(failed).to.be.oneOf(['storage.write-failed', 0]);
      // There was nothing to merge: something else takes the failure.
      if (failed === 0) await this.store.commit(() => [{ del: Buffer.of(0x70) }]).catch(() => undefined);
    }
    if (what === 'begin') {
      const pages = queryReadings(this.store, HUB, ALL_TIME);
      const reader: Reader = { pages, expected: this.#expected(), found: [] };
      this.#readers.push(reader);
      await this.#read(reader);
    }
    const reader = this.#readers[n % this.#readers.length];
    if (what === 'read' && reader) await this.#read(reader);
    if (what === 'digests') await this.#digests(first, Math.min(first + 1 + (n % 5), log.flushes.length));
  }

  async end(): Promise<void> {
    for (const reader of this.#readers) while (!(await this.#read(reader)));
    const expected = this.#expected();
    expect(await this.#telemetry.query()).to.deep.equal(expected);
    for (const sensor of new Set(expected.map(({ reading }) => reading.sensor))) {
      if (sensor === 0) continue;
      const ofOne = expected.filter(({ reading }) => reading.sensor === sensor);
      expect(await this.#telemetry.query({ sensor })).to.deep.equal(ofOne);
    }
    const [known, again] = [await this.#telemetry.ledger.of(HUB), await new Ledger(this.store).of(HUB)];
    const { id } = this.of.log;
    expect(again.look(id).holding()).to.deep.equal(known.look(id).holding());
    expect(again.look(id).readings).to.equal(expected.length);
  }

  /** True at the end: all that was held when it began is there once, in order, and nothing that was never written. */
  async #read(reader: Reader): Promise<boolean> {
    const next = await reader.pages.next();
    if (!next.done) {
      reader.found.push(...next.value);
      return false;
    }
    const nameOf = ({ flush, position }: PlacedReading) => `${flush}/${position}`;
    const names = reader.found.map(nameOf);
    expect(new Set(names).size).to.equal(names.length);
    expect(names).to.include.members(reader.expected.map(nameOf));
    const now = new Map(this.#expected().map((placed) => [nameOf(placed), placed]));
    for (const placed of reader.found) expect(placed).to.deep.equal(now.get(nameOf(placed)));
    return true;
  }

  async #digests(first: number, end: number): Promise<void> {
    const { log } = this.of;
    const held = [...this.#held].sort(([a], [b]) => a - b);
    const flushes = held.flatMap(([from, to]) => range(from, to)).filter((flush) => flush >= first && flush < end);
    const digests = await digestsOf(this.store, HUB, log.id, first, end, async () => undefined);
    expect(digests.map(({ flush }) => flush)).to.deep.equal(flushes);
    for (const { flush, chain } of digests) {
      const right = chain.length === 16 ? log.chains[flush] : flushDigest(log.flushes[flush]?.readings ?? []);
      expect(right?.equals(chain)).to.equal(true);
    }
  }

  #expected(): PlacedReading[] {
    return [...this.#held].sort(([a], [b]) => a - b).flatMap(([first, end]) => this.of.log.placed(first, end));
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const changed = ({ number, readings: [first, ...rest] }: Flush): Flush => ({
  number,
  readings: first ? [{ ...first, message: `${first.message}!`.slice(-9) }, ...rest] : [],
});

describe(`merging, against a model (seed ${testSeed})`, () => {
  it('changes nothing that is read, in memory', async function () {
    this.timeout(60_000);
    let merges = 0;
    await fc.assert(
      fc.asyncProperty(anyLog, anySteps, async (log, steps) => {
        const store = new MemoryStore();
        const run = new Run(log, store, store);
        for (const step of steps) await run.step(step);
        await run.end();
        merges += run.merges;
      }),
      { ...runs(40), endOnFailure: true },
    );
    expect(merges, 'it did merge').to.be.greaterThan(30);
  });

  it('changes nothing that is read, in the real store, also after it was opened again', async function () {
    this.timeout(60_000);
    const root = await mkdtemp(join(tmpdir(), 'merging-'));
    let n = 0;
    try {
      await fc.assert(
        fc.asyncProperty(anyLog, anySteps, async (log, steps) => {
          const directory = join(root, String(n++));
          const failures = new LevelFailures();
          const modules = { log: silentLogger, newLevel: failures.newLevel };
          const store = await LevelStore.open({ directory }, modules);
          const run = new Run(log, store, failures);
          let before: PlacedReading[];
          try {
            for (const step of steps) await run.step(step);
            await run.end();
            before = await new TelemetryStore(store).query();
          } finally {
            await store.stop();
          }
          const again = await LevelStore.open({ directory }, modules);
          expect(await new TelemetryStore(again).query()).to.deep.equal(before);
          await again.stop();
        }),
        { ...runs(12), endOnFailure: true },
      );
    } finally {
      await rm(root, { recursive: true });
    }
  });
});
