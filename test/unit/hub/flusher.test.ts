// Readings on their way from sensors into the log: when they are flushed, and what becomes of them when they cannot be.
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { Flusher } from '../../../src/hub/flusher.js';
import { epochMs, milliseconds, seconds } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { packBatch } from '../../../src/telemetry/batch.js';
import type { Reading } from '../../../src/telemetry/reading.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

const reading = (sensor: number, state = State.OK, change: Partial<Reading> = {}): Reading => ({
  sensor,
  takenAt: epochMs(0),
  state,
  message: '',
  values: [],
  ...change,
});

describe(`hub: flusher (seed ${testSeed})`, () => {
  let clock: FakeClock;
  let flushes: Reading[][];
  let flusher: Flusher;
  /** Rejects while it is set. */
  let failure: Error | undefined;
  /** Awaited by each append. */
  let hold: Promise<void>;
  let release: () => void;

  beforeEach(() => {
    clock = new FakeClock();
    flushes = [];
    failure = undefined;
    hold = Promise.resolve();
    release = () => undefined;
    flusher = new Flusher({
      clock,
      log: silentLogger,
      linger: () => seconds(2),
      append: async (readings) => {
        await hold;
        if (failure) throw failure;
        flushes.push([...readings]);
      },
    });
  });

  afterEach(async () => {
    release();
    failure = undefined;
    await flusher.stop();
    expect(clock.armed).to.equal(0);
  });

  const block = () => {
    hold = new Promise((resolve) => {
      release = resolve;
    });
  };

  /** The first reading of a sensor is a change of its state. */
  const known = async (...sensors: number[]) => {
    for (const sensor of sensors) flusher.add(reading(sensor));
    await settle();
    await clock.advance(seconds(2));
    flushes.length = 0;
  };

  it('lets readings wait for each other as long as linger says, counted from the first', async () => {
    await known(1, 2);
    flusher.add(reading(1));
    await clock.advance(milliseconds(1_500));
    flusher.add(reading(2));
    await clock.advance(milliseconds(499));
    expect(flushes).to.have.length(0);
    await clock.advance(milliseconds(1));
    expect(flushes.map((flush) => flush.length)).to.deep.equal([2]);
    await clock.advance(seconds(10));
    expect(flushes).to.have.length(1);
  });

  it('writes at once when a sensor changes its state, together with what waits', async () => {
    await known(1, 2);
    flusher.add(reading(1));
    flusher.add(reading(2, State.CRITICAL));
    await settle();
    expect(flushes.map((flush) => flush.length)).to.deep.equal([2]);
    flusher.add(reading(2, State.CRITICAL));
    await settle();
    expect(flushes).to.have.length(1);
    expect(clock.armed).to.equal(1);
  });

  it('does not let a change of state wait for linger because a write is under way', async () => {
    await known(1);
    block();
    flusher.add(reading(1, State.WARNING));
    await settle();
    flusher.add(reading(1, State.CRITICAL));
    release();
    await settle();
    expect(flushes.map((flush) => flush.map(({ state }) => state))).to.deep.equal([[State.WARNING], [State.CRITICAL]]);
  });

  it('writes at once when a flush is full, and never more than fits one', async () => {
    await known(1);
    for (let i = 0; i < 2_500; i++) flusher.add(reading(1));
    await settle();
    expect(flushes.map((flush) => flush.length)).to.deep.equal([1_000, 1_000]);
    await clock.advance(seconds(2));
    expect(flushes.map((flush) => flush.length)).to.deep.equal([1_000, 1_000, 500]);
  });

  it('makes no flush that does not fit a batch, however large its readings are, also at the stop', async () => {
    const random = seededRandom(testSeed);
    const text = (length: number) =>
      random
        .bytes(length)
        .toString('latin1')
        .replace(/[^ -~]/g, 'x');
    failure = new Error('no space');
    for (let i = 0; i < 1_500; i++) {
      const values = Array.from({ length: Math.floor(random.uniform() * 30) }, (_, n) => ({
        name: `${n}${text(100)}`,
        unit: '',
        value: random.uniform(),
      }));
      flusher.add(reading(i, State.OK, { message: text(1_000), values }));
    }
    await settle();
    failure = undefined;
    await flusher.stop();
    expect(flushes.reduce((sum, flush) => sum + flush.length, 0)).to.equal(1_500);
    for (const readings of flushes) {
      const sorted = [...readings].sort((x, y) => x.sensor - y.sensor);
      const head = { log: Buffer.alloc(16), firstFlush: 0, chain: Buffer.alloc(16) };
      const batch = packBatch(head, [{ number: 0, readings: sorted }]);
      expect(batch.length).to.be.lessThan(64 * 1024);
    }
  });

  it('keeps what could not be written, in order, and tries again each second', async () => {
    await known(1);
    failure = new Error('no space');
    flusher.add(reading(1, State.WARNING));
    await settle();
    flusher.add(reading(1, State.CRITICAL));
    await clock.advance(milliseconds(900));
    // However urgent: the disk is not tried with each reading.
    expect(clock.armed).to.equal(1);
    await clock.advance(seconds(3));
    expect(flushes).to.have.length(0);
    failure = undefined;
    await clock.advance(seconds(1));
    expect(flushes.flat().map(({ state }) => state)).to.deep.equal([State.WARNING, State.CRITICAL]);
    expect(flusher.dropped).to.equal(0);
  });

  it('keeps no more than 50,000 readings, drops the oldest, and counts them', async () => {
    failure = new Error('no space');
    const total = 60_000;
    for (let i = 0; i < total; i++) {
      flusher.add(reading(1, State.OK, { takenAt: epochMs(i) }));
      if (i % 7_000 === 0) await clock.advance(seconds(1));
    }
    await clock.advance(seconds(1));
    expect(flusher.dropped).to.be.within(total - 50_000, total - 50_000 + 1_000);
    failure = undefined;
    await clock.advance(seconds(2));
    const written = flushes.flat().map(({ takenAt }) => takenAt);
    expect(written).to.have.length(total - flusher.dropped);
    expect(written.at(-1)).to.equal(total - 1);
    expect(written).to.deep.equal([...written].sort((x, y) => x - y));
  });

  it('writes the rest at the stop, after what is under way, and takes nothing more', async () => {
    await known(1);
    block();
    flusher.add(reading(1, State.WARNING));
    await settle();
    flusher.add(reading(1, State.WARNING, { takenAt: epochMs(7) }));
    const stopped = flusher.stop();
    flusher.add(reading(1, State.OK));
    release();
    await stopped;
    expect(flushes.flat().map(({ takenAt }) => takenAt)).to.deep.equal([0, 7]);
    expect(clock.armed).to.equal(0);
  });

  it('counts what could not be written at the stop', async () => {
    await known(1);
    failure = new Error('no space');
    flusher.add(reading(1));
    flusher.add(reading(1));
    await flusher.stop();
    expect(flusher.dropped).to.equal(2);
  });
});
