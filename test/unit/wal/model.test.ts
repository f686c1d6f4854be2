// Random histories of the log against a model. The promise: whatever was reported durable is waiting, or held by the
// cloud, or inside a gap; no flush number is given twice, and nothing waits twice.
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { GapReason } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { hours, seconds } from '../../../src/kernel/duration.js';
import { MemoryStore } from '../../../src/storage/memory.js';
import { RangeSet } from '../../../src/telemetry/ranges.js';
import type { Wal } from '../../../src/wal/wal.js';
import { FakeClock } from '../../support/fake-clock.js';
import { testSeed } from '../../support/seeded-random.js';
import { ALL, idOf, inGaps, mortal, openWal, readAll, readings, temporaryDirectory } from './support.js';

type Step =
  | { readonly do: 'append'; readonly size: number }
  | { readonly do: 'failed append' | 'append, then die before the mark' | 'die' | 'die losing the latest commit' }
  | { readonly do: 'new log' | 'gaps acknowledged' }
  | { readonly do: 'acknowledge' | 'cloud forgets' | 'part'; readonly which: number; readonly from: number }
  | { readonly do: 'wait'; readonly hours: number };

const position = { which: fc.nat(), from: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }) };
const step = fc.oneof<fc.WeightedArbitrary<Step>[]>(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('append' as const), size: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), ...position }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cloud forgets' as const), ...position }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('part' as const), ...position }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), hours: fc.integer({ min: 0, max: 80 }) }) },
  {
    weight: 6,
    arbitrary: fc.constantFrom<Step>(
      { do: 'failed append' },
      { do: 'append, then die before the mark' },
      { do: 'die' },
      { do: 'die losing the latest commit' },
      { do: 'new log' },
      { do: 'gaps acknowledged' },
    ),
  },
);

class World {
  readonly #clock = new FakeClock();
  #store = new MemoryStore();
  #earlier = this.#store;
  #kill = () => {};
  #wals: Wal[] = [];
  #nextId = 0;
  /** Where each reading reported durable is: its id → log and flush. */
  readonly #reported = new Map<number, { log: string; flush: number }>();
  /** What the cloud holds: log → flush → id. */
  readonly #cloud = new Map<string, Map<number, number>>();

  constructor(
    private readonly directory: string,
    private readonly sabotage?: (store: MemoryStore, wal: Wal) => Promise<void>,
  ) {}

  get wal(): Wal {
    const wal = this.#wals.at(-1);
    if (!wal) throw new Error('not open');
    return wal;
  }

  async open(): Promise<void> {
    this.#kill();
    const life = mortal(this.#clock);
    this.#kill = life.kill;
    const openStore = async () => this.#store;
    this.#wals.push(
      await openWal(this.directory, {
        clock: life.clock,
        openStore,
        maxBytes: 4_000,
        heal: { maxBytes: 1_500, maxAge: hours(72) },
      }),
    );
  }

  async end(): Promise<void> {
    for (const wal of this.#wals) await wal.stop();
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'append': {
        this.#earlier = this.#store.restarted();
        const id = this.#nextId++;
        const { log, flush } = await this.wal.append(readings(id, step.size));
        const at = { log: log.toString('hex'), flush };
        for (const other of this.#reported.values()) expect(other, 'a number given twice').not.to.deep.equal(at);
        this.#reported.set(id, at);
        return;
      }
      case 'failed append': {
        this.#store.failNextWrite();
        const failed = await this.wal.append(readings(this.#nextId++)).then(
          () => false,
          () => true,
        );
        expect(failed).to.equal(true);
        return;
      }
      case 'append, then die before the mark': {
        const mark = join(this.directory, 'mark');
        await copyFile(mark, `${mark}.before`);
        await this.wal.append(readings(this.#nextId++));
        await copyFile(`${mark}.before`, mark);
        return await this.#restart(this.#store.restarted());
      }
      case 'die':
        return await this.#restart(this.#store.restarted());
      case 'die losing the latest commit':
        return await this.#restart(this.#earlier);
      case 'new log':
        return await this.wal.startNewLog();
      case 'gaps acknowledged':
        for (const { gap } of this.wal.gaps()) {
          await this.wal.gapAcked(gap.log, { first: gap.firstFlush, count: gap.flushCount });
        }
        return;
      case 'acknowledge':
        return await this.#acknowledge(step.which, step.from);
      case 'cloud forgets':
        return await this.#forget(step.which, step.from);
      case 'part':
        return await this.#part(step.which, step.from);
      case 'wait':
        return await this.#clock.advance(step.hours === 0 ? seconds(2) : hours(step.hours));
    }
  }

  async check(): Promise<void> {
    for (const { log } of this.wal.logs()) await this.#heal(Buffer.from(log));
    await this.sabotage?.(this.#store, this.wal);
    const here = (await readAll(this.wal)).map(({ flush }) => idOf(flush));
    expect(new Set(here).size, 'something waits twice').to.equal(here.length);
    const waiting = new Set(here);
    const held = new Set([...this.#cloud.values()].flatMap((flushes) => [...flushes.values()]));
    const total = (await readAll(this.wal)).reduce((sum, { flush }) => sum + flush.readings.length, 0);
    expect(this.wal.queuedReadings).to.equal(total);
    for (const [id, { log, flush }] of this.#reported) {
      if (waiting.has(id) || held.has(id) || inGaps(this.wal, Buffer.from(log, 'hex')).has(flush)) continue;
      throw new Error(`reading ${id}, flush ${flush} of ${log}, is gone without a word`);
    }
  }

  async #restart(store: MemoryStore): Promise<void> {
    this.#store = store;
    this.#earlier = store.restarted();
    await this.open();
  }

  async #acknowledge(which: number, from: number): Promise<void> {
    const owing = this.wal.unacked();
    const { log, waiting } = owing[which % Math.max(1, owing.length)] ?? {};
    const range = waiting?.toProto()[0];
    if (!log || !range) return;
    const first = range.first + Math.floor(from * range.count);
    const flushes = await this.wal.read(log, first, { ...ALL, maxReadings: 60 });
    const held = this.#cloud.get(log.toString('hex')) ?? new Map<number, number>();
    for (const flush of flushes) {
      expect(held.get(flush.number), 'two flushes of one number').to.be.oneOf([undefined, idOf(flush)]);
      held.set(flush.number, idOf(flush));
    }
    this.#cloud.set(log.toString('hex'), held);
    await this.wal.ack(log, [{ first, count: flushes.length }]);
  }

  /** The cloud is restored from a backup, and the hub is told at its next session. */
  async #forget(which: number, from: number): Promise<void> {
    const [name, held] = [...this.#cloud][which % Math.max(1, this.#cloud.size)] ?? [];
    if (!name || !held) return;
    const log = Buffer.from(name, 'hex');
    const kept = Math.floor(from * held.size);
    for (const flush of [...held.keys()].sort((a, b) => a - b).slice(kept)) held.delete(flush);
    await this.#heal(log);
  }

  /** What each session begins with: the hub learns what the cloud holds. */
  async #heal(log: Buffer): Promise<void> {
    const held = new RangeSet();
    for (const first of this.#cloud.get(log.toString('hex'))?.keys() ?? []) held.add({ first, count: 1 });
    const lost = this.wal.acked(log).subtract(held);
    const missing = await this.wal.restoreUnacked(log, lost.toProto());
    for (const range of missing.ranges())
      await this.wal.addGap(log, range, GapReason.NOT_RETAINED).catch(ignoreUnknown);
    if (held.size > 0) await this.wal.ack(log, held.toProto());
  }

  async #part(which: number, from: number): Promise<void> {
    const logs = this.wal.logs();
    const { log: id, next = 0 } = logs[which % Math.max(1, logs.length)] ?? {};
    if (!id) return;
    const log = Buffer.from(id);
    const at = Math.floor(from * next);
    const owed = this.wal.unacked().find((entry) => entry.log.equals(log))?.waiting ?? new RangeSet();
    const told = inGaps(this.wal, log).subtract(this.wal.gone(log));
    const moving = [
      ...owed
        .union(told)
        .within({ first: at, count: Math.max(1, next - at) })
        .flushes(),
    ];
    const target = this.wal.openLog?.log.equals(log) ? undefined : this.wal.openLog;
    this.#earlier = this.#store.restarted();
    await this.wal.reappend(log, at);
    const to = this.wal.openLog;
    for (const [i, flush] of moving.entries()) {
      for (const where of this.#reported.values()) {
        if (where.log !== log.toString('hex') || where.flush !== flush) continue;
        Object.assign(where, { log: to?.log.toString('hex'), flush: (target?.next ?? 0) + i });
        break;
      }
    }
  }
}

/** A log without anything left may have been forgotten. */
function ignoreUnknown(thrown: unknown): void {
  if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'wal.unknown-log')) throw thrown;
}

async function play(steps: readonly Step[], sabotage?: ConstructorParameters<typeof World>[1]): Promise<void> {
  await using directory = await temporaryDirectory();
  const world = new World(directory.path, sabotage);
  try {
    await world.open();
    for (const step of steps) {
      await world.run(step);
      if (step.do.includes('die') || step.do === 'part') await world.check();
    }
    await world.check();
  } finally {
    await world.end();
  }
}

describe(`Wal against a model (seed ${testSeed})`, function () {
  this.timeout(14_000);

  it('loses nothing without a word and gives no number twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), (steps) => play(steps)),
      { seed: testSeed, numRuns: 120, interruptAfterTimeLimit: 11_000, markInterruptAsFailure: false },
    );
  });

  it('notices when something is lost (negative control)', async () => {
    const steps: Step[] = [1, 2, 3, 4].map((size) => ({ do: 'append', size }));
    const loseOne = async (_: MemoryStore, wal: Wal) => {
      const id = wal.openLog?.log;
      if (id) await wal.ack(id, [{ first: 2, count: 1 }]);
    };
    await play(steps);
    const failure = await play(steps, loseOne).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(failure)
      .to.have.property('message')
      .that.matches(/flush 2 of .* is gone without a word/);
  });
});
