// OpenMetrics texts, read by a reader that shares nothing with the writer.
import { expect } from 'chai';
import fc from 'fast-check';
import { END, gauge, labelled, sample } from '../../../../src/cloud/openmetrics/text.js';
import { parseOpenMetrics } from '../../../support/openmetrics-text.js';
import { testSeed } from '../../../support/seeded-random.js';

const read = (labels: Record<string, string>, value: number) =>
  parseOpenMetrics(gauge('g', 'Help') + sample('g', labelled(labels), value) + END).get('g')?.samples[0];

describe(`OpenMetrics text (seed ${testSeed})`, () => {
  it('brings every text and every number to the reader', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom('\\', '"', '\n', 'n', ',', '}', '=', '#', ' ', 'é', '😀') }),
    );
    const plain = text.filter((one) => !/\p{Cc}/u.test(one.replaceAll('\n', '')));
    fc.assert(
      fc.property(plain, plain, fc.double(), (a, b, value) => {
        const found = read({ a, b }, value);
        expect(found?.labels).to.deep.equal({ a, b });
        // Minus nought is nought.
        expect(found?.value).to.satisfy((read: number) => read === value || Object.is(read, value));
      }),
      { seed: testSeed },
    );
  });

  it('shows control characters instead of sending them', () => {
    const all = String.fromCharCode(...Array(32).keys());
    const line = sample('g', labelled({ a: all }), 1);
    expect(line.slice(0, -1)).to.not.match(/\p{Cc}/u);
    expect(new Set(read({ a: all }, 1)?.labels.a).size).to.equal(32);
  });

  it('escapes help', () => {
    expect(gauge('g', 'a "b" \\ c\nd')).to.equal('# TYPE g gauge\n# HELP g a \\"b\\" \\\\ c\\nd\n');
  });
});
