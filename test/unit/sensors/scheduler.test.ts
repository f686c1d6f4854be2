// The scheduler on virtual time: schedules, hanging and failing sensors, changes of the configuration.
import { expect } from 'chai';
import { z } from 'zod';
import type { SensorConfig } from '../../../gen/occmesh/link/v1/link.js';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { milliseconds, minutes, seconds } from '../../../src/kernel/duration.js';
import { SensorFault } from '../../../src/sensors/fault.js';
import type { Measurement, SensorKind } from '../../../src/sensors/kind.js';
import { SensorScheduler, type SensorSchedulerOptions } from '../../../src/sensors/scheduler.js';
import type { Reading } from '../../../src/telemetry/reading.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { realModules, sensorConfig } from './support.js';

interface Probe {
  runs: number;
  active: number;
  mostActive: number;
  closed: number;
  lastSignal: AbortSignal | undefined;
}
const BEHAVIOURS = [
  'ok',
  'forever',
  'slow',
  'hang',
  'verdict',
  'throw',
  'throwAtOnce',
  'late',
  'half',
  'polite',
] as const;
type BehaviourName = (typeof BEHAVIOURS)[number];
type Behaviour = (signal: AbortSignal, run: number) => Promise<Measurement>;

const ok: Behaviour = async () => ({ values: [{ name: 'value', unit: '', value: 1 }] });
const forever: Behaviour = () => new Promise(() => undefined);

/** A kind whose sensors behave as `settings.as` says, and that counts what is done to them. */
class Bench implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly readings: Reading[] = [];
  readonly startTimes: [label: string, at: number][] = [];
  readonly probes = new Map<string, Probe>();
  readonly behaviours: { [as in BehaviourName]?: Behaviour } = { ok, forever };
  readonly scheduler: SensorScheduler;

  constructor(options: Partial<SensorSchedulerOptions> = {}) {
    const kind = (name: string, spawns: boolean): SensorKind<{ label: string; as: BehaviourName }> => ({
      name,
      summary: '',
      spawns,
      settings: z.strictObject({ label: z.string().default('it'), as: z.enum(BEHAVIOURS).default('ok') }),
      defaults: { interval: seconds(60), timeout: seconds(10), thresholds: [] },
      create: ({ label, as }) => ({
        measure: (signal) => this.#measure(label, as, signal),
        close: async () => {
          this.probe(label).closed++;
        },
      }),
    });
    const kinds = new Map([kind('probe', false), kind('spawner', true)].map((k) => [k.name, k as SensorKind<unknown>]));
    const modules = { ...realModules({ clock: this.clock, random: seededRandom(testSeed) }), kinds };
    this.scheduler = new SensorScheduler({ onReading: (reading) => this.readings.push(reading), ...options }, modules);
  }

  probe(label = 'it'): Probe {
    const fresh: Probe = { runs: 0, active: 0, mostActive: 0, closed: 0, lastSignal: undefined };
    const probe = this.probes.get(label) ?? fresh;
    this.probes.set(label, probe);
    return probe;
  }

  async #measure(label: string, as: BehaviourName, signal: AbortSignal): Promise<Measurement> {
    const probe = this.probe(label);
    probe.lastSignal = signal;
    probe.runs++;
    probe.active++;
    probe.mostActive = Math.max(probe.mostActive, probe.active);
    this.startTimes.push([label, this.clock.monotonic()]);
    try {
      return await (this.behaviours[as] ?? ok)(signal, probe.runs);
    } finally {
      probe.active--;
    }
  }

  async [Symbol.asyncDispose]() {
    const stopping = this.scheduler.stop();
    await this.clock.advance(seconds(4));
    await stopping;
    expect(this.clock.armed, 'timers left behind').to.equal(0);
  }
}

const said = (readings: readonly Reading[]) => readings.map(({ state, message }) => [state, message]);
const one = (changes: Partial<SensorConfig> = {}) => [sensorConfig({ number: 1, ...changes })];

describe(`sensors/scheduler (TEST_SEED=${testSeed})`, () => {
  it('runs soon, then on a grid that does not drift however long runs take', async () => {
    await using bench = new Bench();
    bench.behaviours.slow = async () => {
      await new Promise<void>((resolve) => bench.clock.after(milliseconds(700), resolve));
      return { values: [] };
    };
    await bench.scheduler.apply(one({ intervalMs: 10_000, timeoutMs: 5_000, settings: { as: 'slow' } }));
    await bench.clock.advance(seconds(1_002));
    const starts = bench.startTimes.map(([, at]) => at);
    expect(starts[0]).to.be.below(2_000);
    expect(starts).to.have.length(101);
    for (const [index, at] of starts.entries()) expect(at - (starts[0] ?? 0)).to.be.closeTo(index * 10_000, 1e-6);
  });

  it('stamps a reading with the time its run began', async () => {
    await using bench = new Bench();
    bench.behaviours.slow = async () => {
      await new Promise<void>((resolve) => bench.clock.after(milliseconds(700), resolve));
      return { values: [] };
    };
    const before = bench.clock.now();
    await bench.scheduler.apply(one({ settings: { as: 'slow' } }));
    await bench.clock.advance(seconds(5));
    expect(bench.readings[0]?.takenAt).to.equal(Math.trunc(before + (bench.startTimes[0]?.[1] ?? 0)));
  });

  it('spreads 20 sensors over two seconds', async () => {
    await using bench = new Bench();
    await bench.scheduler.apply(Array.from({ length: 20 }, (_, i) => sensorConfig({ number: i + 1 })));
    await bench.clock.advance(seconds(2));
    const starts = bench.startTimes.map(([, at]) => at).sort((a, b) => a - b);
    expect(starts).to.have.length(20);
    expect(new Set(starts.map((at) => Math.floor(at / 200))).size, `${starts}`).to.be.above(4);
  });

  it('a sensor of one second runs within its own interval', async () => {
    await using bench = new Bench();
    await bench.scheduler.apply(one({ intervalMs: 1_000, timeoutMs: 500 }));
    await bench.clock.advance(seconds(1));
    expect(bench.probe().runs).to.equal(1);
  });

  it('ticks that were missed are skipped, never made up for', async () => {
    await using bench = new Bench();
    let late = 0;
    const { after } = bench.clock;
    // The process was stopped for 35 s: the timer fires that much too late.
    bench.clock.after = (delay, action) => {
      const extra = late;
      late = 0;
      return after.call(bench.clock, milliseconds(delay + extra), action);
    };
    await bench.scheduler.apply(one({ intervalMs: 10_000, timeoutMs: 5_000 }));
    await bench.clock.advance(seconds(5));
    late = 35_000;
    await bench.clock.advance(seconds(10));
    await bench.clock.advance(seconds(85));
    const starts = bench.startTimes.map(([, at]) => at);
    const origin = starts[0] ?? 0;
    const slots = starts.map((at) => (at - origin) / 10_000);
    expect(slots[1]).to.equal(1);
    // One late run, and then on the old grid again.
    expect(slots[2]).to.be.closeTo(5.5, 1e-6);
    expect(slots.slice(3, 6).map(Math.round)).to.deep.equal([6, 7, 8]);
  });

  it('a hanging run times out; until it has ended nothing else is started', async () => {
    await using bench = new Bench();
    let release = () => undefined as unknown;
    bench.behaviours.hang = (_signal, run) =>
      run === 1 ? new Promise((resolve) => (release = () => resolve({ values: [] }))) : ok(_signal, run);
    await bench.scheduler.apply(one({ settings: { as: 'hang' } }));
    await bench.clock.advance(seconds(13));
    expect(said(bench.readings)).to.deep.equal([[State.UNKNOWN, 'timed out after 10s']]);
    expect(bench.probe().lastSignal?.reason).to.be.instanceOf(SensorFault).with.property('code', 'sensor.timeout');
    await bench.clock.advance(minutes(2));
    expect(said(bench.readings).slice(1)).to.deep.equal([
      [State.UNKNOWN, 'still running'],
      [State.UNKNOWN, 'still running'],
    ]);
    expect(bench.probe().runs).to.equal(1);
    release();
    await bench.clock.advance(minutes(1));
    expect(said(bench.readings).at(-1)).to.deep.equal([State.OK, '']);
    expect(bench.probe()).to.include({ runs: 2, mostActive: 1 });
  });

  it('for a sensor that knows what silence means, its last word counts', async () => {
    await using bench = new Bench();
    bench.behaviours.verdict = (signal) =>
      new Promise((resolve) => {
        const verdict = { values: [], state: State.CRITICAL, message: 'no answer' };
        signal.addEventListener('abort', () => resolve(verdict), { once: true });
      });
    await bench.scheduler.apply(one({ settings: { as: 'verdict' } }));
    await bench.clock.advance(seconds(13));
    expect(said(bench.readings)).to.deep.equal([[State.CRITICAL, 'no answer']]);
  });

  it('one that throws says why, and the others go on', async () => {
    await using bench = new Bench();
    bench.behaviours.throw = async () => {
      throw new Error('disk on fire', { cause: new Error('match') });
    };
    bench.behaviours.throwAtOnce = () => {
      throw new Error('rude');
    };
    await bench.scheduler.apply([
      sensorConfig({ number: 1, settings: { as: 'throw' } }),
      sensorConfig({ number: 2, settings: { as: 'throwAtOnce' } }),
      sensorConfig({ number: 3 }),
    ]);
    await bench.clock.advance(seconds(2));
    const readings = bench.readings.sort((a, b) => a.sensor - b.sensor);
    expect(said(readings)).to.deep.equal([
      [State.UNKNOWN, 'disk on fire: match'],
      [State.UNKNOWN, 'rude'],
      [State.OK, ''],
    ]);
  });

  it('judges by thresholds', async () => {
    await using bench = new Bench();
    const thresholds = [{ metric: 'value', warning: '0', critical: '5' }];
    await bench.scheduler.apply(one({ thresholds }));
    await bench.clock.advance(seconds(2));
    expect(said(bench.readings)).to.deep.equal([[State.WARNING, 'value 1 is over 0']]);
  });

  describe('a configuration that is wrong', () => {
    const cases: [string, Partial<SensorConfig>, RegExp][] = [
      ['kind', { kind: 'nonsense' }, /no kind of sensor "nonsense"/],
      ['settings', { settings: { lable: 'x' } }, /settings of probe: .*lable/],
      ['threshold', { thresholds: [{ metric: 'a', warning: 'lots', critical: '' }] }, /"lots" is not a range/],
      ['interval', { intervalMs: 10 }, /interval must be at least/],
      ['timeout', { timeoutMs: 60_000 }, /timeout must be less/],
    ];
    for (const [what, change, expected] of cases) {
      it(`in its ${what} fails alone, and says so at each interval`, async () => {
        await using bench = new Bench();
        const failures = await bench.scheduler.apply([...one(change), sensorConfig({ number: 2 })]);
        expect(failures.map((failure) => failure.sensor)).to.deep.equal([1]);
        expect(failures[0]?.error).to.match(expected);
        await bench.clock.advance(seconds(62));
        const [bad, good] = [1, 2].map((number) => bench.readings.filter((reading) => reading.sensor === number));
        expect(said(bad ?? [])).to.deep.equal(Array(2).fill([State.UNKNOWN, failures[0]?.error]));
        expect(said(good ?? [])).to.deep.equal(Array(2).fill([State.OK, '']));
      });
    }

    it('two of the same number: the first counts', async () => {
      await using bench = new Bench();
      const failures = await bench.scheduler.apply([...one(), ...one({ kind: 'nonsense' })]);
      expect(failures).to.deep.equal([{ sensor: 1, error: 'two sensors have this number' }]);
      await bench.clock.advance(seconds(2));
      expect(said(bench.readings)).to.deep.equal([[State.OK, '']]);
    });
  });

  describe('a new configuration', () => {
    it('leaves unchanged sensors alone, with their phase and their run', async () => {
      await using bench = new Bench();
      await bench.scheduler.apply([
        sensorConfig({ number: 1, settings: { label: 'stays' } }),
        sensorConfig({ number: 2, settings: { label: 'goes' } }),
        sensorConfig({ number: 3, settings: { label: 'changes' } }),
      ]);
      await bench.clock.advance(seconds(30));
      await bench.scheduler.apply([
        sensorConfig({ number: 1, settings: { label: 'stays' } }),
        sensorConfig({ number: 3, settings: { label: 'changed' } }),
        sensorConfig({ number: 4, settings: { label: 'new' } }),
      ]);
      await bench.clock.advance(seconds(40));
      const runs = (label: string) => bench.startTimes.filter(([name]) => name === label).map(([, at]) => at);
      const [first = 0, second = 0] = runs('stays');
      expect(second - first).to.be.closeTo(60_000, 1e-6);
      expect(runs('stays')).to.have.length(2);
      expect(runs('goes')).to.have.length(1);
      expect(runs('changes')).to.have.length(1);
      for (const label of ['changed', 'new']) expect(runs(label)[0]).to.be.within(30_000, 32_000);
      expect(['stays', 'goes', 'changes'].map((label) => bench.probe(label).closed)).to.deep.equal([0, 1, 1]);
    });

    it('new thresholds, name and timeout do not disturb a running sensor', async () => {
      await using bench = new Bench();
      await bench.scheduler.apply(one());
      await bench.clock.advance(seconds(30));
      const thresholds = [{ metric: 'value', warning: '', critical: '0' }];
      expect(await bench.scheduler.apply(one({ name: 'other', thresholds, timeoutMs: 5_000 }))).to.deep.equal([]);
      await bench.clock.advance(seconds(40));
      expect(said(bench.readings)).to.deep.equal([
        [State.OK, ''],
        [State.CRITICAL, 'value 1 is over 0'],
      ]);
      expect(bench.probe().closed).to.equal(0);
    });

    it('repairs a sensor that could not be configured', async () => {
      await using bench = new Bench();
      expect(await bench.scheduler.apply(one({ kind: 'nonsense' }))).to.have.length(1);
      expect(await bench.scheduler.apply(one({ kind: 'nonsense' })), 'still reported').to.have.length(1);
      expect(await bench.scheduler.apply(one())).to.deep.equal([]);
      await bench.clock.advance(seconds(2));
      expect(said(bench.readings)).to.deep.equal([[State.OK, '']]);
    });

    it('ends the run of a removed sensor and drops its result', async () => {
      await using bench = new Bench();
      let finish = () => undefined as unknown;
      bench.behaviours.late = () => new Promise((resolve) => (finish = () => resolve({ values: [] })));
      await bench.scheduler.apply(one({ settings: { as: 'late' } }));
      await bench.clock.advance(seconds(2));
      const applied = bench.scheduler.apply([]);
      await settle();
      expect(bench.probe().lastSignal?.reason).to.have.property('code', 'sensor.stopped');
      finish();
      await applied;
      await bench.clock.advance(minutes(3));
      expect(bench.readings).to.deep.equal([]);
    });

    it('does not wait for ever for a removed one that hangs', async () => {
      await using bench = new Bench();
      await bench.scheduler.apply(one({ settings: { as: 'forever' } }));
      await bench.clock.advance(seconds(2));
      const applied = bench.scheduler.apply([sensorConfig({ number: 2, settings: { label: 'next' } })]);
      await bench.clock.advance(seconds(6));
      expect(await applied).to.deep.equal([]);
      expect(bench.probe('next').runs).to.equal(1);
    });

    it('paused sensors rest until they are resumed', async () => {
      await using bench = new Bench();
      await bench.scheduler.apply(one({ paused: true }));
      await bench.clock.advance(minutes(5));
      expect(bench.probe().runs).to.equal(0);
      await bench.scheduler.apply(one());
      await bench.clock.advance(seconds(2));
      expect(bench.probe().runs).to.equal(1);
      await bench.scheduler.apply(one({ paused: true }));
      await bench.clock.advance(minutes(5));
      expect(bench.probe().runs).to.equal(1);
    });
  });

  describe('limits', () => {
    const many = (count: number, changes: Partial<SensorConfig>) =>
      Array.from({ length: count }, (_, i) => sensorConfig({ number: 100 + i, ...changes }));

    it('runs at most so many at the same time', async () => {
      await using bench = new Bench({ concurrency: 3, processConcurrency: 2 });
      bench.behaviours.half = async () => {
        await new Promise<void>((resolve) => bench.clock.after(milliseconds(900), resolve));
        return { values: [] };
      };
      await bench.scheduler.apply([
        ...many(12, { settings: { as: 'half' } }),
        sensorConfig({ number: 1, kind: 'spawner', settings: { label: 's', as: 'half' } }),
        sensorConfig({ number: 2, kind: 'spawner', settings: { label: 's', as: 'half' } }),
        sensorConfig({ number: 3, kind: 'spawner', settings: { label: 's', as: 'half' } }),
      ]);
      await bench.clock.advance(seconds(10));
      expect(bench.probe()).to.include({ runs: 12, mostActive: 3 });
      expect(bench.probe('s')).to.include({ runs: 3, mostActive: 2 });
    });

    it('20 that wait for something outside do not hold up a fast one', async () => {
      await using bench = new Bench();
      await bench.scheduler.apply([
        ...many(20, { settings: { label: 'slow', as: 'forever' }, timeoutMs: 50_000 }),
        ...many(6, { settings: { label: 'spawned', as: 'forever' }, timeoutMs: 50_000, kind: 'spawner' }).map((c) => ({
          ...c,
          number: c.number + 100,
        })),
        sensorConfig({ number: 1, intervalMs: 5_000, timeoutMs: 1_000, settings: { label: 'fast' } }),
      ]);
      await bench.clock.advance(seconds(58));
      expect(bench.probe('fast').runs).to.be.at.least(11);
      expect(bench.probe('slow').active).to.equal(20);
      // Processes keep their slot until they have ended or timed out: four, then the two that waited.
      expect(bench.probe('spawned').mostActive).to.be.at.most(6);
    });
  });

  describe('runNow', () => {
    it('runs besides the schedule, and reports', async () => {
      await using bench = new Bench();
      await bench.scheduler.apply(one());
      await bench.clock.advance(seconds(20));
      const reading = await bench.scheduler.runNow(1);
      expect(reading).to.include({ sensor: 1, state: State.OK });
      expect(bench.readings.at(-1)).to.equal(reading);
      await bench.clock.advance(seconds(42));
      expect(bench.probe().runs).to.equal(3);
    });

    it('joins the run under way', async () => {
      await using bench = new Bench();
      bench.behaviours.slow = async () => {
        await new Promise<void>((resolve) => bench.clock.after(seconds(5), resolve));
        return { values: [] };
      };
      await bench.scheduler.apply(one({ settings: { as: 'slow' } }));
      await bench.clock.advance(seconds(3));
      const now = Promise.all([bench.scheduler.runNow(1), bench.scheduler.runNow(1)]);
      await bench.clock.advance(seconds(5));
      const [a, b] = await now;
      expect(a).to.equal(b);
      expect(bench.probe().runs).to.equal(1);
      expect(bench.readings).to.have.length(1);
    });

    it('refuses what does not run', async () => {
      await using bench = new Bench();
      await bench.scheduler.apply(one({ paused: true }));
      const code = (promise: Promise<unknown>) =>
        promise.then(
          () => 'fulfilled',
          (fault) => fault.code,
        );
      expect(await code(bench.scheduler.runNow(1))).to.equal('sensor.not-running');
      expect(await code(bench.scheduler.runNow(9))).to.equal('sensor.not-running');
      await bench.scheduler.stop();
      expect(await code(bench.scheduler.runNow(1))).to.equal('sensor.stopped');
      expect(await code(bench.scheduler.apply(one()))).to.equal('sensor.stopped');
    });
  });

  it('stop ends everything, twice, and on what never started', async () => {
    await new Bench().scheduler.stop();
    await using bench = new Bench();
    bench.behaviours.polite = (signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    await bench.scheduler.apply(one({ settings: { as: 'polite' } }));
    await bench.clock.advance(seconds(2));
    const running = bench.scheduler.runNow(1).catch((fault) => fault.code);
    await bench.scheduler.stop();
    await bench.scheduler.stop();
    expect(await running).to.equal('sensor.stopped');
    expect(bench.probe()).to.include({ active: 0, closed: 1 });
    expect(bench.clock.armed).to.equal(0);
    expect(bench.readings).to.deep.equal([]);
  });

  it('a receiver that throws does not stop the sensors', async () => {
    let told = 0;
    const onReading = () => {
      told++;
      throw new Error('full');
    };
    await using bench = new Bench({ onReading });
    await bench.scheduler.apply(one());
    await bench.clock.advance(minutes(3));
    expect(told).to.equal(3);
  });
});
