// What a role measures, as Prometheus reads it: parsed by a reader that shares nothing with the writer.
import { expect } from 'chai';
import fc from 'fast-check';
import { milliseconds } from '../../../src/kernel/duration.js';
import { counter, gauge, histogram, noMeters, timed } from '../../../src/kernel/metrics.js';
import { PrometheusMeters } from '../../../src/metrics/prometheus.js';
import { FakeClock } from '../../support/fake-clock.js';
import { metricValue, parsePrometheus } from '../../support/prometheus-text.js';

const TABLE = {
  plain: counter('t_plain_total', 'Help with "quotes", a \\ and\na second line'),
  bounded: counter('t_bounded_total', 'Bounded', { way: ['up', 'down'] }),
  open: gauge('t_open', 'Bounded by whoever says it', { method: undefined }),
  level: gauge('t_level', 'A level'),
  took: histogram('t_took_seconds', 'Time', [0.1, 1]),
} as const;

describe('metrics for Prometheus', () => {
  const meters = () => {
    const failures: string[] = [];
    const made = new PrometheusMeters((name) => failures.push(name));
    const read = async () => parsePrometheus(await made.text());
    return { instruments: made.instruments(TABLE), read, failures };
  };

  it('counts from nought on, also what has never happened', async () => {
    const { instruments, read } = meters();
    expect(metricValue(await read(), 't_plain_total')).to.equal(0);
    expect((await read()).get('t_bounded_total')?.samples).to.have.length(2);
    instruments.plain.add(2);
    instruments.plain.add(3);
    instruments.bounded.add(1, { way: 'up' });
    const families = await read();
    expect(metricValue(families, 't_plain_total')).to.equal(5);
    expect(metricValue(families, 't_bounded_total', { way: 'up' })).to.equal(1);
    expect(metricValue(families, 't_bounded_total', { way: 'down' })).to.equal(0);
    expect(families.get('t_plain_total')?.type).to.equal('counter');
  });

  it('asks sources at each look, sums what has equal labels, and forgets what is gone', async () => {
    const { instruments, read } = meters();
    let found: [{ method: string }, number][] = [
      [{ method: 'a' }, 1],
      [{ method: 'a' }, 2],
      [{ method: 'b' }, 4],
    ];
    instruments.open.read(() => found);
    instruments.plain.read(async () => 7);
    let families = await read();
    expect(metricValue(families, 't_open', { method: 'a' })).to.equal(3);
    expect(metricValue(families, 't_plain_total')).to.equal(7);
    found = [[{ method: 'b' }, 5]];
    families = await read();
    expect(families.get('t_open')?.samples).to.deep.equal([{ name: 't_open', labels: { method: 'b' }, value: 5 }]);
    expect(metricValue(families, 't_plain_total'), 'not added up').to.equal(7);
  });

  it('never has more series than its table allows, whatever is said', async () => {
    const { instruments, read } = meters();
    const anyWay = instruments.bounded as unknown as { add(n: number, labels: Record<string, string>): void };
    fc.assert(
      fc.property(fc.string(), (way) => {
        anyWay.add(1, { way });
      }),
      { numRuns: 200 },
    );
    const samples = (await read()).get('t_bounded_total')?.samples ?? [];
    expect(samples.map(({ labels }) => labels.way).sort()).to.deep.equal(['down', 'other', 'up']);
    expect(samples.reduce((sum, { value }) => sum + value, 0)).to.equal(200);
  });

  it('reads back every label as it was said', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 20 }), async (method) => {
        const { instruments, read } = meters();
        instruments.open.read(() => [[{ method }, 1]]);
        expect(metricValue(await read(), 't_open', { method })).to.equal(1);
      }),
      { numRuns: 100 },
    );
  });

  it('leaves out a source that fails, says which, and tells the rest', async () => {
    const { instruments, read, failures } = meters();
    instruments.level.read(() => Promise.reject(new Error('no')));
    instruments.plain.add(1);
    expect(metricValue(await read(), 't_plain_total')).to.equal(1);
    expect(failures).to.deep.equal(['t_level']);
    const families = await read();
    expect(families.get('t_level')?.samples, 'nought would be a lie').to.deep.equal([]);
    instruments.level.read(() => 3);
    expect(metricValue(await read(), 't_level')).to.equal(3);
  });

  it('puts durations into buckets, also of what failed', async () => {
    const { instruments, read } = meters();
    const clock = new FakeClock();
    const lasting = (ms: number) => async () => {
      await clock.advance(milliseconds(ms));
      if (ms > 1_000) throw new Error('too long');
    };
    await timed(clock, instruments.took, lasting(100));
    await timed(clock, instruments.took, lasting(101));
    await timed(clock, instruments.took, lasting(5_000)).catch(() => undefined);
    const families = await read();
    const below = (le: string) => metricValue(families, 't_took_seconds_bucket', { le });
    expect([below('0.1'), below('1'), below('+Inf')]).to.deep.equal([1, 2, 3]);
    expect(metricValue(families, 't_took_seconds_sum')).to.be.closeTo(5.201, 1e-9);
  });

  it('costs nothing where nobody looks', () => {
    const silent = noMeters.instruments(TABLE);
    silent.plain.add(1);
    silent.took.observe(1);
    silent.level.read(() => {
      throw new Error('asked');
    });
  });

  it('would notice a text that is none (negative controls of the reader)', () => {
    const good = '# HELP a b\n# TYPE a gauge\na 1\n';
    expect(metricValue(parsePrometheus(good), 'a')).to.equal(1);
    for (const bad of [
      'a 1\n',
      good.trimEnd(),
      `${good}a 2\n`,
      good.replace('a 1', 'a x'),
      good.replace('gauge', 'g'),
    ]) {
      expect(() => parsePrometheus(bad), bad).to.throw();
    }
    expect(() => metricValue(parsePrometheus(good), 'b')).to.throw('not told');
  });
});
