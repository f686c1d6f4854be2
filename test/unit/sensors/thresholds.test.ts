// Ranges and verdicts, against the table of the monitoring plugins' guidelines.
import { expect } from 'chai';
import fc from 'fast-check';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SensorFault } from '../../../src/sensors/fault.js';
import { alarms, couldMatch, evaluate, parseRange, parseThreshold } from '../../../src/sensors/thresholds.js';
import { testSeed } from '../../support/seeded-random.js';

const metric = (name: string, value: number, unit = '') => ({ name, unit, value });
const thresholds = (...all: [string, string, string][]) =>
  all.map(([name, warning, critical]) => parseThreshold({ metric: name, warning, critical }));

describe('sensors/thresholds', () => {
  const table: [range: string, alarm: number[], quiet: number[]][] = [
    ['10', [-0.1, 10.1, -5], [0, 5, 10]],
    ['10:', [9.99, -1], [10, 1e12]],
    ['~:10', [10.01], [10, 0, -1e12]],
    ['10:20', [9, 21], [10, 15, 20]],
    ['@10:20', [10, 15, 20], [9.9, 20.1]],
    ['@10', [0, 10], [-1, 11]],
    ['~:0', [0.1], [0, -1]],
    ['-5:5', [-6, 6], [-5, 5]],
    ['-20:-10', [-9, -21], [-10, -15]],
    [':10', [-1, 11], [0, 10]],
    ['~:', [], [-1e300, 0, 1e300]],
    ['0.5:1.5', [0.4, 1.6], [0.5, 1.5]],
    ['1e3', [1001], [1000]],
    ['0', [-1, 1], [0]],
  ];
  for (const [text, alarm, quiet] of table) {
    it(`reads ${text}`, () => {
      const range = parseRange(text);
      for (const value of alarm) expect(alarms(range, value), `${value}`).to.equal(true);
      for (const value of quiet) expect(alarms(range, value), `${value}`).to.equal(false);
    });
  }

  for (const text of ['', '@', '~', 'ten', '10:5', '1,5', '10 20', '1:2:3', '-10', 'Infinity', '0x10', '1e999', '@~']) {
    it(`refuses "${text}" and quotes it`, () => {
      expect(() => parseRange(text))
        .to.throw(SensorFault, `"${text}"`)
        .with.property('code', 'sensor.threshold');
    });
  }

  it('inside is the opposite of outside, for every range and value', () => {
    const number = fc.double({ noNaN: true, min: -1e6, max: 1e6 });
    const property = fc.property(number, number, number, (a, b, value) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      const outside = { start, end, inside: false };
      expect(alarms(outside, value)).to.equal(!alarms({ ...outside, inside: true }, value));
    });
    fc.assert(property, { seed: testSeed });
  });

  it('says what is wrong, in words', () => {
    const of = (range: string, value: number) =>
      evaluate(thresholds(['usage', range, '']), [metric('usage', value, '%')]).message;
    expect(of('90', 93.2)).to.equal('usage 93.2 % is over 90');
    expect(of('10:', 3)).to.equal('usage 3 % is under 10');
    expect(of('@10:20', 15)).to.equal('usage 15 % is within 10 to 20');
    expect(of('90', 5)).to.equal('');
    expect(of('90', 100 / 1.05)).to.equal('usage 95.2381 % is over 90');
  });

  it('takes the worst of all, and the reasons for it only', () => {
    const all = thresholds(['a', '1', ''], ['b', '', '1'], ['c', '', '1']);
    const verdict = evaluate(all, [metric('a', 2), metric('b', 3), metric('c', 4)]);
    expect(verdict).to.deep.equal({ state: State.CRITICAL, message: 'b 3 is over 1, c 4 is over 1' });
    expect(evaluate(all, [metric('a', 2), metric('b', 0), metric('c', 0)]).state).to.equal(State.WARNING);
    expect(evaluate(all, [metric('a', 0), metric('b', 0), metric('c', 0)])).to.deep.equal({
      state: State.OK,
      message: '',
    });
  });

  it('critical counts although warning alarms too', () => {
    const verdict = evaluate(thresholds(['a', '80', '90']), [metric('a', 95)]);
    expect(verdict).to.deep.equal({ state: State.CRITICAL, message: 'a 95 is over 90' });
  });

  it('a star stands for any characters, at either end', () => {
    const values = [metric('/used', 95), metric('/var/used', 50), metric('/free', 1e9)];
    expect(evaluate(thresholds(['*/used', '90', '']), values).message).to.equal('/used 95 is over 90');
    expect(evaluate(thresholds(['/var*', '', '40']), values).message).to.equal('/var/used 50 is over 40');
    expect(evaluate(thresholds(['none*', '1', '']), values).state).to.equal(State.OK);
  });

  it('shortens a long list of reasons', () => {
    const values = Array.from({ length: 9 }, (_, i) => metric(`m${i}`, 5));
    expect(evaluate(thresholds(['*', '1', '']), values).message).to.match(/^m0 .*m2 5 is over 1 and 6 more$/);
  });

  it('a threshold on what was not measured is not health', () => {
    const verdict = evaluate(thresholds(['usedd', '90', '']), [metric('used', 5)]);
    expect(verdict).to.deep.equal({ state: State.UNKNOWN, message: 'usedd was not measured' });
  });

  it('tells whether a threshold could ever match what a kind measures', () => {
    const texts = [
      '',
      ...['a', 'b'].flatMap((x) => [x, ...['a', 'b'].flatMap((y) => [x + y, `${x}${y}a`, `${x}${y}b`])]),
    ];
    const patterns = texts.flatMap((text) => [
      text,
      ...Array.from({ length: text.length + 1 }, (_, i) => `${text.slice(0, i)}*${text.slice(i)}`),
    ]);
    // Long enough for any two of these patterns to have their common name among them.
    const names = Array.from({ length: 2 ** 7 }, (_, n) =>
      n.toString(2).slice(1).replaceAll('0', 'a').replaceAll('1', 'b'),
    );
    const hits = (pattern: string) =>
      new Set(
        names.filter(
          (name) =>
            evaluate([parseThreshold({ metric: pattern, warning: '1', critical: '' })], [metric(name, 2)]).state ===
            State.WARNING,
        ),
      );
    const all = new Map(patterns.filter((pattern) => pattern !== '').map((pattern) => [pattern, hits(pattern)]));
    let both = 0;
    for (const [one, of] of all) {
      for (const [other, ofOther] of all) {
        const common = [...of].some((name) => ofOther.has(name));
        expect(couldMatch(one, other), `${one} and ${other}`).to.equal(common);
        both += common ? 1 : 0;
      }
    }
    expect(both).to.be.within(all.size, all.size ** 2 - 1);
  });
});
